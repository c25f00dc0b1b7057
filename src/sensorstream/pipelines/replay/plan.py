"""Which process publishes which sources and partitions, decided before any of them is started."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sensorstream.errors import UsageError
from sensorstream.pipelines.replay.share import Share
from sensorstream.pipelines.replay.spec import ReplayJob
from sensorstream.sources.rotation import status_of


@dataclass(frozen=True, slots=True)
class Part:
    """A source of the job, by its index, and the share of it; None: all of it."""

    source: int
    share: Share | None


def check(paths: Sequence[str], processes: int, *, paced: bool, followed: Sequence[bool] = ()) -> None:
    """Raises UsageError when the processes would have to share what they can't.

    ``paths`` are the sources' files; ``paced``: rows have moments of their own; ``followed``: which of the sources
    are.
    """
    if "-" in paths:
        raise UsageError("stdin can't be shared by processes", hint="leave out --processes, or give it a file")
    if processes <= len(paths):
        return
    if any(followed):
        raise UsageError(
            f"--processes {processes}: a source that is followed can't be shared by processes, its end is not known",
            hint=f"use at most {len(paths)}, or leave out --follow",
        )
    if paced:
        raise UsageError(
            f"--processes {processes}: the pace of a source can't be shared by processes",
            hint=f"with --delay, --rate or --speed use at most {len(paths)}; or --delay 0",
        )
    for path in paths:
        if Path(path).exists() and not Path(path).is_file():
            raise UsageError(
                f"{path} is a pipe and can't be shared by processes", hint=f"use at most --processes {len(paths)}"
            )


def plan(
    job: ReplayJob, paths: Sequence[str], partitions: Mapping[str, int], processes: int, *, paced: bool
) -> list[list[Part]]:
    """The parts of each process; fewer processes than asked for where there is nothing more to share.

    ``partitions`` are the topics' numbers of partitions. Sources go whole where they are about equal; one that is
    larger than a process's fair part is shared by its partitions, by as many processes as it has partitions at the
    most.
    """
    sizes, most = [], []
    for source, path in zip(job.sources, paths, strict=True):
        status = status_of(Path(path))
        sizes.append(1 if status is None else max(1, status.st_size))
        shared = status is not None and not paced and source.rules.follow is None
        most.append(partitions[source.topic] if shared else 1)
    fair = sum(sizes) / processes
    shares = [max(1, min(limit, processes, round(size / fair))) for size, limit in zip(sizes, most, strict=True)]
    while sum(shares) < processes:
        larger = [at for at in range(len(sizes)) if shares[at] < most[at]]
        if not larger:
            break
        shares[max(larger, key=lambda at: sizes[at] / shares[at])] += 1
    return _spread(sizes, shares, min(processes, sum(shares)))


def _spread(sizes: Sequence[int], shares: Sequence[int], processes: int) -> list[list[Part]]:
    """Largest first, each to the process that has the least to do; no process gets two shares of one source."""
    parts: list[list[Part]] = [[] for _ in range(processes)]
    load = [0.0] * processes
    for at in sorted(range(len(sizes)), key=lambda at: -sizes[at] / shares[at]):
        weight = sizes[at] / shares[at]
        for index in range(shares[at]):
            free = [to for to in range(processes) if all(part.source != at for part in parts[to])]
            to = min(free, key=lambda to: load[to])
            parts[to].append(Part(at, Share(index, shares[at]) if shares[at] > 1 else None))
            load[to] += weight
    return parts
