"""Station 8 for display: the analyser window. Tk is imported only here, and only when a window is opened."""

from sensorstream.errors import UsageError


def no_window(reason: str) -> UsageError:
    """What is said where no window can be opened."""
    return UsageError(
        " ".join(reason.split()).rstrip("."),
        hint="in the terminal: sensorstream sentiment watch, and sensorstream sentiment score TEXT",
    )
