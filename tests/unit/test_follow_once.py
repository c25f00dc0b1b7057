"""Following exactly once: interrupted, with everything that may have become of the file since."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from follow_labs import Lab, append, rows
from running import until
from sensorstream.clients.memory.publisher import MemoryTransactionalPublisher
from sensorstream.errors import DeliveryTimeout, UsageError
from sensorstream.pipelines.replay.job_records import JOBS_TOPIC, JobState, decode
from sensorstream.sources import followed_file
from sensorstream.sources.formats import SourceForm


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr(followed_file, "LAST_S", 0.4)
    made = Lab(tmp_path)
    append(made.file, "n,s\n" + rows(0, 10))
    assert made.run(exactly_once=True, timeout=0.0, limit=7).acknowledged == 7
    return made


def again(lab: Lab, **options: Any) -> list[int]:
    """What is there after another run of the same command, of which it is a part that it ends by itself."""
    lab.run(exactly_once=True, timeout=0.3, **options)
    return lab.numbers()


def test_the_same_command_goes_on_although_the_file_has_grown(lab: Lab) -> None:
    append(lab.file, rows(10, 20))
    assert again(lab) == list(range(20))
    append(lab.file, rows(20, 21))
    assert again(lab) == list(range(21))
    assert again(lab) == list(range(21))
    assert "continues at row 20: 20 rows published" in lab.told


def jobs(lab: Lab) -> dict[str, JobState]:
    records = {
        (record.key or b"").decode(): record.value or b""
        for part in range(8)
        for record in lab.broker.records(JOBS_TOPIC, part)
    }
    return decode(records)


def test_the_job_tells_what_was_published_of_the_file_and_no_more(lab: Lab) -> None:
    (job,) = jobs(lab).values()
    assert job.record.file.size == len("n,s\n" + rows(0, 7))
    assert job.record.file.inode == lab.file.stat().st_ino
    assert not any(progress and progress.ended for progress in job.progress)


def test_half_a_row_of_several_lines_is_none_of_what_was_published(lab: Lab) -> None:
    append(lab.file, '10,"one\ntwo\n')
    lab.run(exactly_once=True, timeout=0.2)
    assert lab.numbers() == list(range(10))
    (file,) = (job.record.file for job in jobs(lab).values())
    assert file.size == len("n,s\n" + rows(0, 10))
    with lab.running(exactly_once=True, rate=20.0):
        append(lab.file, 'three"\n' + rows(11, 15))
        lab.until_numbers(list(range(15)))
    (file,) = (job.record.file for job in jobs(lab).values())
    assert file.size == lab.file.stat().st_size


@pytest.mark.parametrize(
    ("form", "head", "lines"),
    [
        (SourceForm(comment="#", units_line=(3,), delimiter=";", decimal=","), "# x\nn;v\n-;m\n", "{n};2,5\n# c\n"),
        (SourceForm(skip_lines=1, delimiter="blanks", missing=("v=-9",)), "station\nn   v\n", "  {n}  -9\n\n"),
        (SourceForm(widths=(6, 3)), "n     v  \n", "{n:<6}abc\n"),
    ],
    ids=["comments and units", "blanks", "widths"],
)
def test_described_files_are_followed_too(tmp_path: Path, form: SourceForm, head: str, lines: str) -> None:
    lab = Lab(tmp_path)
    append(lab.file, head + "".join(lines.format(n=n) for n in range(5)))
    with lab.running(exactly_once=True, form=form):
        lab.until_numbers(list(range(5)))
        append(lab.file, "".join(lines.format(n=n) for n in range(5, 8)))
        lab.until_numbers(list(range(8)))
    (job,) = jobs(lab).values()
    assert 0 < job.record.file.size <= lab.file.stat().st_size
    append(lab.file, "".join(lines.format(n=n) for n in range(8, 3000)))
    lab.run(exactly_once=True, form=form, timeout=0.3)
    assert lab.numbers() == list(range(3000))


def rename(file: Path) -> None:
    append(file, rows(10, 12))
    file.rename(file.with_name("air.csv.1"))
    append(file, "n,s\n" + rows(100, 103))


def rename_twice(file: Path) -> None:
    append(file, rows(10, 12))
    file.rename(file.with_name("air-20260101.csv"))
    append(file.with_name("air-20260102.csv"), "n,s\n100,a\n")
    append(file, "n,s\n" + rows(101, 103))


def rename_to_another_name(file: Path) -> None:
    append(file, rows(10, 12))
    file.rename(file.with_name("yesterday"))
    append(file, "n,s\n" + rows(100, 103))


def copy_and_truncate(file: Path) -> None:
    append(file, rows(10, 12))
    shutil.copy(file, file.with_name("air.csv.1"))
    file.write_text("n,s\n" + rows(100, 103))


@pytest.mark.parametrize("rotate", [rename, rename_twice, rename_to_another_name, copy_and_truncate])
def test_a_file_that_was_rotated_meanwhile_is_found_and_read_to_its_end_first(
    lab: Lab, rotate: Callable[[Path], None]
) -> None:
    rotate(lab.file)
    lab.run(exactly_once=True, timeout=1.5)
    assert lab.numbers() == [*range(12), 100, 101, 102]
    append(lab.file, rows(103, 104))
    assert again(lab) == [*range(12), 100, 101, 102, 103]


def test_a_copy_of_the_file_goes_on(lab: Lab) -> None:
    shutil.copy(lab.file, lab.folder / "copy")
    (lab.folder / "copy").replace(lab.file)
    assert again(lab) == list(range(10))


def test_what_was_not_published_yet_may_change(lab: Lab) -> None:
    lab.file.write_text("n,s\n" + rows(0, 7) + rows(50, 52))
    assert again(lab) == [*range(7), 50, 51]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("n,s\n" + rows(0, 3) + "3,other\n" + rows(4, 10), "its first 39 bytes are not those that were published"),
        ("n,s\n" + rows(0, 5), "it has 29 bytes, and 39 were published"),
        ("", "it has 0 bytes, and 39 were published"),
        (None, "it is not there, and 39 bytes of it were published"),
    ],
)
def test_a_file_that_differs_in_what_was_published_is_refused(lab: Lab, content: str | None, reason: str) -> None:
    lab.file.unlink() if content is None else lab.file.write_text(content)
    with pytest.raises(UsageError, match=reason):
        again(lab)
    assert lab.numbers() == list(range(7))


def test_restart_publishes_a_refused_file_from_its_beginning(lab: Lab) -> None:
    lab.file.write_text("n,s\n" + rows(100, 103))
    assert again(lab, restart=True) == [*range(7), 100, 101, 102]
    assert again(lab) == [*range(7), 100, 101, 102]


def test_the_same_file_without_follow_and_another_key_are_refused(lab: Lab) -> None:
    with pytest.raises(UsageError, match="--follow was yes, now it is not given"):
        lab.run(exactly_once=True, follow=False)
    with pytest.raises(UsageError, match="--key was not given, now it is s"):
        again(lab, key="s")


def test_another_followed_file_of_the_topic_is_another_job(lab: Lab) -> None:
    append(lab.folder / "b.csv", "n,s\n" + rows(0, 7))
    lab.run(f"AIR={lab.folder / 'b.csv'}", exactly_once=True, timeout=0.0)
    assert lab.numbers() == sorted([*range(7), *range(7)])


@pytest.mark.parametrize("was_committed", [False, True])
def test_a_transaction_that_fails_while_the_file_is_rotated_is_done_again_where_it_was_not_committed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, *, was_committed: bool
) -> None:
    commit, count = MemoryTransactionalPublisher.commit, iter(range(1000))

    def failing(publisher: MemoryTransactionalPublisher, timeout_s: float = 30.0) -> None:
        second = next(count) == 1  # the first is that of the take-over
        if second:
            lab.file.rename(lab.folder / "air.csv.1")
            append(lab.file, "n,s\n" + rows(200, 203))
        if was_committed or not second:
            commit(publisher, timeout_s)
        if second:
            raise DeliveryTimeout("nobody knows")

    monkeypatch.setattr(MemoryTransactionalPublisher, "commit", failing)
    lab.run(exactly_once=True, timeout=1.5)
    assert "a transaction failed and is repeated" in lab.told
    assert lab.numbers() == [*range(10), 200, 201, 202]


def test_stopped_at_any_moment_while_a_writer_writes_and_rotates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten runs, each stopped somewhere; every row is there once, and each partition in the order of the file."""
    monkeypatch.setattr(followed_file, "LAST_S", 0.2)
    lab = Lab(tmp_path)
    done = threading.Event()

    def write() -> None:
        number = 0
        for old in range(3, 0, -1):
            append(lab.file, "n,s\n")
            for _ in range(60):
                append(lab.file, rows(number, number + 25)[:-3])  # half a line first
                append(lab.file, rows(number, number + 25)[-3:])
                number += 25
                done.wait(0.01)
            if old > 1:
                lab.file.rename(lab.folder / f"air.csv.{old}")
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(10):
        before = len(lab.numbers())
        with lab.running(exactly_once=True):
            until_more(lab, before, done)
    writer.join()
    lab.run(exactly_once=True, timeout=1.0)
    assert lab.numbers() == list(range(4500))


def until_more(lab: Lab, before: int, done: threading.Event) -> None:
    until(lambda: len(lab.numbers()) > before or done.is_set(), "more rows")
