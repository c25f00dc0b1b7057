"""A worker's place in its group: the first free one, let go at its end, and no fault of the work itself."""

from pathlib import Path

import pytest

from sensorstream.errors import SensorstreamError
from sensorstream.pipelines.stream.worker_slot import take_slot


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(tmp_path))
    return tmp_path


def test_each_has_the_first_free_number_and_lets_it_go() -> None:
    with take_slot("c", "g", "host") as one, take_slot("c", "g", "host") as two, take_slot("c", "h", "host") as other:
        assert [slot.number for slot in (one, two, other)] == [0, 1, 0]
        assert len({slot.transactional_id for slot in (one, two, other)}) == 3
    with take_slot("c", "g", "host") as again:
        assert again == one


def test_an_error_of_the_work_is_not_told_as_one_of_the_state_folder() -> None:
    with pytest.raises(BrokenPipeError), take_slot("c", "g", "host"):
        raise BrokenPipeError
    with take_slot("c", "g", "host") as slot:
        assert slot.number == 0


def test_a_state_folder_that_cannot_be_made_is_named(folder: Path) -> None:
    (folder / "streams").write_text("")
    with pytest.raises(SensorstreamError, match="state folder"), take_slot("c", "g", "host"):
        pass
