"""Time whole commands, in turn, and compare their medians: machines are shared and drift, ratios drift less."""

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


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
    command that the others are compared with."""

    name: str
    rows: int
    commands: Mapping[str, Sequence[str]]
    prepare: Callable[[], None] = lambda: None
    peer: str = ""


def measure(command: Sequence[str]) -> Measurement:
    """Run a command to its end. Raises SystemExit when it fails: a broken run is no fast run."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = code = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if code:
        raise SystemExit(f"bench: {' '.join(command)} failed with exit code {code}:\n{said}")
    return Measurement(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def rounds(case: Case, count: int) -> dict[str, list[Measurement]]:
    """Run a case's commands in turn, ``count`` rounds after one that does not count."""
    found: dict[str, list[Measurement]] = {name: [] for name in case.commands}
    for number in range(count + 1):
        for name, command in case.commands.items():
            case.prepare()
            one = measure(command)
            if number:
                found[name].append(one)
    return found


def median_ratio(ours: Sequence[Measurement], theirs: Sequence[Measurement]) -> float:
    """How many times as fast as theirs ours is: the median over the rounds of theirs' time by ours' time."""
    return statistics.median(b.wall_s / a.wall_s for a, b in zip(ours, theirs, strict=True))


def median_wall(runs: Sequence[Measurement]) -> float:
    """The median of the seconds on the clock."""
    return statistics.median(run.wall_s for run in runs)


def peak(runs: Sequence[Measurement]) -> int:
    """The largest peak resident size, in bytes."""
    return max(run.peak_bytes for run in runs)
