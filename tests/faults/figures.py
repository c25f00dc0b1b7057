"""What a campaign has shown: a line for each fault, client and command, written into docs/reliability.md at once.

A line takes the place of the one that stood there for the same fault, client and command; so a campaign can be run
whole or in parts, and the page always tells when each figure was found.
"""

import fcntl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from faults.counting import Count
from sensorstream.cluster import LocalCluster, state

PAGE: Final = Path(__file__).parents[2] / "docs" / "reliability.md"
_COLUMNS: Final = (
    "#", "fault", "client", "command", "rows", "faults", "lost", "doubled", "reordered", "aborted rows seen",
    "longest stall", "allowed", "seed", "Kafka", "date",
)  # fmt: skip
_BEGIN: Final = "<!-- figures: written by `make campaign`, by nobody's hand -->"
_END: Final = "<!-- end of figures -->"


@dataclass(frozen=True, slots=True)
class Figures:
    """One line of the page. ``number`` is the fault's in the list there; stalls are in seconds."""

    number: int
    fault: str
    client: str
    command: str
    faults: int
    count: Count
    stall_s: float | None
    allowed_s: float | None
    seed: int | None
    kafka_version: str

    def cells(self) -> tuple[str, ...]:
        """The texts of the line's cells."""
        count = self.count
        return (
            str(self.number),
            self.fault,
            self.client,
            self.command,
            f"{count.rows:,}",
            f"{self.faults:,}",
            *map(str, (count.lost, count.doubled, count.reordered, count.aborted)),
            "" if self.stall_s is None else f"{self.stall_s:.1f} s",
            "" if self.allowed_s is None else f"{self.allowed_s:g} s",
            "" if self.seed is None else str(self.seed),
            self.kafka_version,
            datetime.now(UTC).date().isoformat(),
        )


def kafka_version(cluster: LocalCluster) -> str:
    """Which Kafka a cluster runs."""
    known = state.load_state(cluster.folder)
    assert known is not None
    formatted = state.load_formatted(Path(known.data_dir))
    assert formatted is not None
    return formatted.kafka_version


def write(figures: Figures, page: Path = PAGE) -> None:
    """Put the figures into the page."""
    with page.open("r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read()
        before, rest = text.split(f"{_BEGIN}\n")
        table, after = rest.split(_END)
        lines = {_key(cells): cells for cells in map(_cells, table.strip().splitlines()[2:])}
        lines[_key(figures.cells())] = figures.cells()
        new = [_line(_COLUMNS), _line(["---"] * len(_COLUMNS)), *(_line(lines[key]) for key in sorted(lines))]
        file.seek(0)
        file.truncate()
        file.write(f"{before}{_BEGIN}\n" + "\n".join(new) + f"\n{_END}{after}")


def _key(cells: tuple[str, ...]) -> tuple[int, str, str, str]:
    return (int(cells[0]), cells[1], cells[3], cells[2])


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in line.strip().strip("|").split("|"))


def _line(cells: "tuple[str, ...] | list[str]") -> str:
    return "| " + " | ".join(cells) + " |"
