"""Station 6 for a stream's dead letters: from their topic into a rejected file, to be corrected there."""

import threading
from dataclasses import dataclass
from pathlib import Path

from sensorstream.clients.base import Client
from sensorstream.errors import Interrupted
from sensorstream.events import Listener, Progress, ignore
from sensorstream.pipelines.stream.records import HEADER
from sensorstream.records import ConsumedRecord, Rejected, TopicPartition
from sensorstream.sinks.rejected import RejectedFile


@dataclass(frozen=True, slots=True)
class SavedLetters:
    """What was saved of a topic: ``letters`` are dead letters, of which ``new`` were not in the file yet; ``others``
    are records that are none."""

    topic: str
    path: str
    letters: int
    new: int
    others: int


def save(
    client: Client, topic: str, path: Path, *, stop: threading.Event | None = None, listener: Listener = ignore
) -> SavedLetters:
    """Put the dead letters of a topic, up to its end as it is now, into a file, each once.

    Raises UnknownTopic, ClusterUnreachable, Interrupted, OSError.
    """
    letters = new = others = 0
    file = RejectedFile(path, ignore, once=True)
    with client.reader(listener=listener) as reader:
        parts = [TopicPartition(topic, number) for number in range(reader.partitions_for(topic))]
        firsts, ends = reader.beginning_offsets(parts), reader.end_offsets(parts)
        left = {tp: end for tp, end in ends.items() if firsts[tp] < end}
        if left:
            reader.assign({tp: firsts[tp] for tp in left})
        while any(reader.position(tp) < end for tp, end in left.items()):
            if stop is not None and stop.is_set():
                raise Interrupted(
                    "interrupted before the end of the topic", hint="run the same command again to continue"
                )
            for tp, records in reader.poll(0.2).items():
                for record in records:
                    if record.offset >= ends[tp]:
                        continue
                    rejected = as_rejected(record)
                    if rejected is None:
                        others += 1
                        continue
                    letters += 1
                    new += file.add(rejected)
            listener(Progress(topic, letters, None))
    file.sync()
    return SavedLetters(topic, str(path), letters, new, others)


def as_rejected(record: ConsumedRecord) -> Rejected | None:
    """The record that a dead letter is about, as it was in its own topic; None for a record that is no dead letter."""
    told = {name.removeprefix(HEADER): value for name, value in record.headers if name.startswith(HEADER)}
    try:
        where: dict[str, str | int] = {
            "topic": told["topic"].decode(),
            "partition": int(told["partition"]),
            "offset": int(told["offset"]),
        }
        reason, transform = told["reason"].decode(), told["transform"].decode()
    except (KeyError, ValueError):
        return None
    headers = tuple(header for header in record.headers if not header[0].startswith(HEADER))
    stamp = record.timestamp_ms if record.timestamp_ms >= 0 else None
    return Rejected(where, reason, record.value, stamp, record.key, headers, transform)
