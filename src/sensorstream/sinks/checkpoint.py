"""Station 9: the position next to a captured file, replaced atomically.

The sidecar ``<file>.position`` says how many bytes of the file count and which offset comes next. Every write of it
is tmp + fsync + rename + fsync of the folder, so a reader sees the old one or the new one, never half of either.
"""

import json
import os
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from sensorstream.errors import PositionMismatch, SinkError
from sensorstream.own_files import open_own
from sensorstream.sinks.held import Held

SCHEMA: Final = 1
_DEFAULTS: Final = {"--value-format": "json", "--key-format": "text", "--flatten": "no", "--tombstones": "no"}
"""What is meant where a stored ``transform`` says nothing of an option; for all others it is none."""
_ELSEWHERE: Final = "give another --to, or move the file away"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a captured file holds, up to its last position.

    ``next_offset`` is the next offset to read; ``length`` and ``crc`` (CRC-32) are of the data file,
    ``rejected_length`` of the rejected file, of which the letters of earlier offsets count, however they were mended;
    ``columns`` is the CSV header (empty: not written yet);
    ``replacement`` names a finished file that is to take the data file's place. ``transform`` says what the records
    went through, empty for nothing; ``state`` is whatever else the writer must know to go on. ``range`` names the range
    of the log that the file is to hold, and ``range_end`` is the offset before which that ends; empty and None: all.
    ``held`` says which offsets the file holds; None where an earlier version began it.
    """

    topic: str
    partition: int
    cluster_id: str | None
    topic_id: str | None
    format: str
    raw: bool
    next_offset: int
    length: int = 0
    crc: int = 0
    rejected_length: int = 0
    columns: tuple[str, ...] = ()
    replacement: str | None = None
    transform: str = ""
    state: str = ""
    range: str = ""
    range_end: int | None = None
    held: Held | None = None

    def check_same_log(self, other: "Checkpoint", path: Path) -> None:
        """Raise PositionMismatch, saying what differs, unless ``other`` describes the same log and format."""
        for name, label in (
            ("topic", "topic"),
            ("partition", "partition"),
            ("format", "format"),
            ("raw", "--raw"),
        ):
            mine, wanted = getattr(self, name), getattr(other, name)
            if mine != wanted:
                raise PositionMismatch(f"{path} holds {label} {mine}, not {wanted}", hint=_ELSEWHERE)
        if self.transform != other.transform:
            mine, wanted = _described(self.transform), _described(other.transform)
            for option in mine.keys() | wanted.keys():
                if option.startswith("--"):
                    mine.setdefault(option, _DEFAULTS.get(option, "none"))
                    wanted.setdefault(option, _DEFAULTS.get(option, "none"))
            differences = _differences(mine, wanted)
            raise PositionMismatch(f"{path} holds rows made with {differences}", hint=_ELSEWHERE)
        if other.range and other.range != self.range:
            held = f"the range {self.range}" if self.range else "what comes from its beginning on, without an end"
            raise PositionMismatch(f"{path} holds {held}, not the range {other.range}", hint=_ELSEWHERE)
        for name, label in (
            ("cluster_id", "another cluster"),
            ("topic_id", "a deleted topic of the same name"),
        ):
            mine, wanted = getattr(self, name), getattr(other, name)
            if mine is not None and wanted is not None and mine != wanted:
                raise PositionMismatch(
                    f"{path} holds rows of {label} ({mine}, now {wanted}), "
                    f"so its position {self.next_offset} means nothing here",
                    hint="move the file and its .position away to start a new capture",
                )


def _described(transform: str) -> dict[str, str]:
    """What the records went through, as names and values in words."""
    if not transform:
        return {"transform": "none"}
    flat: dict[str, Any] = {}
    for name, value in json.loads(transform).items():
        flat.update(value if isinstance(value, dict) else {name: value})
    if any(name.startswith("--") for name in flat):
        flat.setdefault("transform", "none")
    return {name: _words(value) for name, value in flat.items()}


def _words(value: Any) -> str:
    if isinstance(value, dict):
        value = [f"{name} {one}" for name, one in value.items() if one is not None]
    return (" + ".join(map(str, value)) if isinstance(value, list) else str(value)) or "none"


def _differences(mine: dict[str, str], wanted: dict[str, str]) -> str:
    """What is not the same, in words."""
    other = [name for name in mine if name in wanted and mine[name] != wanted[name]]
    if other:
        return "; ".join(f"{name} {mine[name]}, not {wanted[name]}" for name in other)
    return ", not ".join(" and ".join(f"{name} {value}" for name, value in one.items()) for one in (mine, wanted))


def sidecar(path: Path) -> Path:
    """The position file of a captured file."""
    return path.with_name(path.name + ".position")


def load(path: Path) -> Checkpoint | None:
    """Read the position of the captured file ``path``; None where it has none. Raises SinkError on a damaged one."""
    place = sidecar(path)
    try:
        document: Any = json.loads(place.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SinkError(f"{place} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise _damaged(place) from error
    if not isinstance(document, dict):
        raise _damaged(place)
    seal = document.pop("seal", None)
    if seal != _seal(document):
        raise _damaged(place)
    if document.pop("schema", None) != SCHEMA:
        raise SinkError(f"{place} was written by another version of sensorstream", hint="move the file away")
    try:
        held = document.pop("held", None)
        if held is not None:
            held = Held(held["file"], held["since"], tuple((first, end) for first, end in held["spans"]))
        return replace(Checkpoint(**document), columns=tuple(document["columns"]), held=held)
    except (TypeError, KeyError, ValueError) as error:
        raise _damaged(place) from error


def store(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the position of the captured file ``path``, durably. Raises OSError."""
    place = sidecar(path)
    temporary = place.with_name(place.name + ".tmp")
    document: dict[str, Any] = {"schema": SCHEMA, **asdict(checkpoint)}
    for optional in ("transform", "state", "range", "range_end", "held"):
        if document[optional] in ("", None):
            del document[optional]
    document["seal"] = _seal(document)
    descriptor = open_own(temporary, os.O_WRONLY | os.O_TRUNC, like=place if place.exists() else None)
    try:
        write_all(descriptor, json.dumps(document).encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    # The folder is opened ahead of the rename: what fails after it would leave a position that the caller takes back.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        temporary.replace(place)
        os.fsync(folder)
    finally:
        os.close(folder)


def write_all(descriptor: int, data: bytes) -> None:
    """``os.write`` until all of ``data`` is written; a single call may write less. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_folder(folder: Path) -> None:
    """Make a rename or a new name in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _seal(document: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(document, sort_keys=True).encode())


def _damaged(place: Path) -> SinkError:
    return SinkError(
        f"{place} is damaged: its contents do not match their checksum",
        hint="move it and its data file away to start a new capture",
    )
