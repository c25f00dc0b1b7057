"""Time whole commands, in turn, and compare their medians: machines are shared and drift, ratios drift less."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Measurement:
    """One finished run: seconds on the clock, seconds of CPU, and the peak resident size in bytes of the largest
    process."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Case:
    """Commands that do the same work. ``prepare`` is called before each of them and is not timed; ``peer`` names the
    command that the others are compared with; ``slow`` are so slow that they run in one round only."""

    name: str
    rows: int
    commands: Mapping[str, Sequence[str]]
    prepare: Callable[[], None] = lambda: None
    peer: str = ""
    slow: Sequence[str] = ()


def measure(command: Sequence[str]) -> Measurement:
    """Run a command to its end. Raises SystemExit when it fails: a broken run is no fast run."""
    once = [sys.executable, "-S", str(Path(__file__).with_name("once.py")), *command]
    found = json.loads(subprocess.run(once, stdout=subprocess.PIPE, check=True).stdout)
    if found["code"]:
        raise SystemExit(f"bench: {' '.join(command)} failed with exit code {found['code']}:\n{found['said']}")
    return Measurement(found["wall_s"], found["cpu_s"], found["peak_bytes"])


def rounds(case: Case, count: int) -> dict[str, list[Measurement]]:
    """Run a case's commands in turn, ``count`` rounds after one that does not count."""
    found: dict[str, list[Measurement]] = {name: [] for name in case.commands}
    for number in range(count + 1):
        for name, command in case.commands.items():
            if name in case.slow and number != 1:
                continue
            case.prepare()
            one = measure(command)
            if number:
                found[name].append(one)
    return found


def median_ratio(ours: Sequence[Measurement], theirs: Sequence[Measurement]) -> float:
    """How many times as fast as theirs ours is: the median over the rounds of theirs' time by ours' time."""
    return statistics.median(b.wall_s / a.wall_s for a, b in zip(ours, theirs, strict=False))


def median_wall(runs: Sequence[Measurement]) -> float:
    """The median of the seconds on the clock."""
    return statistics.median(run.wall_s for run in runs)


def peak(runs: Sequence[Measurement]) -> int:
    """The largest peak resident size, in bytes."""
    return max(run.peak_bytes for run in runs)
