"""Station 8 of a stream: the batch size of a transform, so that a slow one does not block the stream."""

from typing import Final

MOST: Final = 2500
"""So many records are transformed together: while the client sends them, the next ones are."""
FIRST: Final = 250
"""As long as nothing is known of the transform."""
LEAST: Final = 10
SECONDS: Final = 1.0
"""A model may take a tenth of a second for each text. While it works the stream neither commits nor hears of its group,
and a transaction that is open for a minute is aborted; so it gets no more than it does in this time."""


class Pace:
    """How many records to take next: what the transform does in a second, by how fast the last ones went."""

    def __init__(self) -> None:
        self.rows = FIRST

    def took(self, rows: int, seconds: float) -> None:
        """So many rows took so long."""
        if rows > 0:
            fits = MOST if seconds <= 0 else int(min(MOST, rows * SECONDS / seconds))
            self.rows = max(LEAST, fits)
