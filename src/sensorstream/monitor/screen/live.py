"""The reader for the visible rows and latencies: opened, changed and paused as the user moves."""

from collections.abc import Callable

from sensorstream.monitor.newest_rows import NewestRows, NewRow
from sensorstream.monitor.screen.rows import ShownRow


class Live:
    """At most one reader at a time; ``open_rows`` makes that of a topic, or of one of its partitions."""

    def __init__(self, open_rows: Callable[[str, int | None], NewestRows]) -> None:
        self._open_rows = open_rows
        self._decoded: dict[tuple[int, int], tuple[NewRow, ShownRow]] = {}
        self.reader: NewestRows | None = None

    def look_at(self, topic: str, partition: int | None) -> None:
        """Read these rows from now on."""
        reader = self.reader
        if reader is not None and (reader.topic, reader.partition) == (topic, partition):
            reader.wake()
            return
        if reader is not None:
            reader.close(wait=False)
        self._decoded = {}
        self.reader = self._open_rows(topic, partition)
        self.reader.start()

    def rest(self) -> None:
        """Nobody looks: read nothing."""
        if self.reader is not None:
            self.reader.rest()

    def close(self) -> None:
        """Let go of the reader."""
        if self.reader is not None:
            self.reader.close()

    def rows(self) -> list[ShownRow]:
        """The newest rows, each decoded once."""
        if self.reader is None:
            return []
        decoded = {}
        for row in self.reader.rows():
            key = (row.record.partition, row.record.offset)
            known = self._decoded.get(key)
            decoded[key] = known if known is not None and known[0] is row else (row, ShownRow(row))
        self._decoded = decoded
        return [shown for _, shown in decoded.values()]
