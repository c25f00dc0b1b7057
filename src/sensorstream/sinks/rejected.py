"""Dead letters: what can't be used is kept whole, one JSON object a line, with where it came from and why.

The bytes stand under ``value`` where they are UTF-8, else under ``value_base64``.
"""

import base64
import json
import os
from pathlib import Path

from sensorstream.events import Listener, RowRejected
from sensorstream.records import ConsumedRecord, Rejected


def dead_letter(rejected: Rejected) -> bytes:
    """One line of a rejected file, line end included."""
    document: dict[str, str | int | None] = {**rejected.where, "reason": rejected.reason}
    try:
        document["value"] = None if rejected.raw is None else rejected.raw.decode()
    except UnicodeDecodeError:
        document["value_base64"] = base64.b64encode(rejected.raw or b"").decode()
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def rejected_record(record: ConsumedRecord, reason: str) -> Rejected:
    """A consumed record that can't be used."""
    where: dict[str, str | int] = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    return Rejected(where, reason, record.value)


def rejection_event(rejected: Rejected, path: Path) -> RowRejected:
    """What the listener is told of a dead letter."""
    where = ", ".join(f"{name} {value}" for name, value in rejected.where.items())
    return RowRejected(where, rejected.reason, str(path))


class RejectedFile:
    """A rejected file without a position, made by the first dead letter; each one is durable at once."""

    def __init__(self, path: Path, listener: Listener) -> None:
        self.path = path
        self._listener = listener
        self.count = 0

    def add(self, rejected: Rejected) -> None:
        """Append one dead letter, durably. Raises OSError."""
        with self.path.open("ab") as file:
            file.write(dead_letter(rejected))
            file.flush()
            os.fsync(file.fileno())
        self.count += 1
        self._listener(rejection_event(rejected, self.path))
