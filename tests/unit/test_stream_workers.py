"""The workers of a stream as processes: what of their ends is a result, and what a failure."""

import threading
from pathlib import Path

import pytest

from sensorstream.errors import SensorstreamError, UsageError
from sensorstream.events import Event, Notice
from sensorstream.pipelines.stream.plan import StreamOptions, check
from sensorstream.pipelines.stream.workers import Workers, ended_together


def test_a_worker_that_tells_a_result_has_not_failed_though_its_exit_code_says_that_not_all_is_well(
    tmp_path: Path,
) -> None:
    """A stream with dead letters ends with exit code 1; here another command that does so, which needs no broker."""
    labelled = tmp_path / "labelled.csv"
    labelled.write_text("text,label\na great day,positive\nno label,\n")
    told: list[Event] = []
    with Workers(2, ["sentiment", "evaluate", str(labelled)], told.append) as workers:
        workers.run(threading.Event())
    assert [result["rejected"] for result in workers.results] == [1, 1]
    assert sum("could not be used" in one.text for one in told if isinstance(one, Notice)) == 2


def test_a_worker_without_a_result_is_a_failure_and_its_own_error_is_told() -> None:
    workers = Workers(1, ["stream", "--from", "A", "--to", "A", "--transform", "round"])
    with pytest.raises(SensorstreamError, match="worker 0 failed: --from and --to are both A"), workers:
        workers.run(threading.Event())
    assert workers.results == []


def test_latency_is_measured_in_one_process() -> None:
    with pytest.raises(UsageError, match="--workers"):
        check(StreamOptions("A", "B", workers=2, arrived=lambda _: None))


def test_a_worker_that_is_stopped_before_it_has_begun_is_no_failure() -> None:
    stop = threading.Event()
    stop.set()
    with Workers(1, ["--help"]) as workers:
        workers.run(stop)
    assert workers.results == []


@pytest.mark.parametrize(
    ("ends", "stopped", "ended"),
    [
        (["end", "end"], False, "end"),
        (["end", "timeout"], False, "end"),
        (["timeout", "timeout"], False, "timeout"),
        (["timeout", "stopped"], False, "stopped"),
        (["stopped", "stopped"], True, "stopped"),
    ],
)
def test_the_group_has_ended_as_its_workers_have_seen_it(ends: list[str], stopped: bool, ended: str) -> None:
    assert ended_together(ends, stopped=stopped) == ended
