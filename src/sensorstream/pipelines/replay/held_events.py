"""Station 4, exactly once: what a source's replay tells of its rows is held back until they are committed."""

from sensorstream.events import Event, Listener, Progress, RowPublished, RowRejected


class HeldEvents:
    """A listener for a replay in transactions, in front of ``listener``.

    It holds what is told of rows. Progress it drops: that counts what is committed, and is told elsewhere.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._held: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Hold an event, drop it, or tell it at once."""
        if isinstance(event, RowPublished | RowRejected):
            self._held.append(event)
        elif not isinstance(event, Progress):
            self._listener(event)

    def tell(self) -> None:
        """The rows are committed: tell what is held."""
        held, self._held = self._held, []
        for event in held:
            self._listener(event)

    def drop(self) -> None:
        """The rows are published anew: forget what is held."""
        self._held = []
