"""Station 9, read back: the records that a capture rejected, from the rejected files next to the captured ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from sensorstream.errors import DecodeError, SourceError
from sensorstream.pipelines.verify.captured_files import CapturedFile
from sensorstream.sinks import dead_letter
from sensorstream.sinks.rejected import beside


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record that a capture could not use. ``line`` of the rejected ``file`` counts from 1; None where the line
    can't be read: the offset."""

    file: str
    line: int
    partition: int
    offset: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many records were rejected and not retried since, and the first of them."""

    count: int
    first: tuple[RejectedRecord, ...]


def rejected_on_capture(files: Sequence[CapturedFile], listed: int) -> LeftOut:
    """The dead letters of captured files, of which the first ``listed`` are told. Raises SourceError."""
    count, first = 0, list[RejectedRecord]()
    for path, file in {beside(file.path): file for file in files}.items():
        try:
            with path.open("rb") as lines:
                for number, line in enumerate(lines, start=1):
                    if not line.strip():
                        continue
                    partition, offset, reason = file.partition, None, ""
                    try:
                        letter = dead_letter.load(line)
                    except DecodeError as error:
                        reason = f"the line can't be read: {error.message}"
                    else:
                        if letter.retried is not None:
                            continue
                        if letter.topic is not None and letter.topic != file.topic:
                            continue  # several topics may share a database
                        partition = file.partition if letter.partition is None else letter.partition
                        offset, reason = letter.offset, letter.reason
                    count += 1
                    if len(first) < listed:
                        first.append(RejectedRecord(str(path), number, partition, offset, reason))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise SourceError(f"{path} can't be read: {error.strerror}") from error
    return LeftOut(count, tuple(first))
