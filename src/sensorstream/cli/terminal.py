"""Text for a stream that may be a terminal: what comes from outside is shown and never obeyed."""

from typing import TextIO

from sensorstream.visible import visible

__all__ = ["visible", "write"]


def write(stream: TextIO, text: str) -> None:
    """Write at once, in whatever encoding the stream has; a stream that is gone is nobody's trouble."""
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            stream.write(text.encode("ascii", "backslashreplace").decode("ascii"))
        stream.flush()
    except (OSError, ValueError):
        # Nobody can be told that stderr is gone.
        return
