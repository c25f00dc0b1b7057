"""The helpers of the tests on brokers: what comes late is waited for, and what is refused is not."""

import time
from typing import Any, cast

import pytest

from looking import commit, whole
from sensorstream.clients.base import Reader
from sensorstream.errors import BrokerError, ClusterUnreachable, CredentialsRefused, SensorstreamError
from sensorstream.monitor.snapshot import Snapshot
from sensorstream.records import TopicPartition

POSITIONS = {TopicPartition("AIR", 0): 3}


class Answering:
    """A reader and a gatherer that fail first."""

    def __init__(self, *errors: SensorstreamError) -> None:
        self._errors = list(errors)
        self.committed: list[Any] = []

    def commit(self, positions: Any, note: str) -> None:
        self._fail()
        self.committed.append((positions, note))

    def take(self) -> Snapshot:
        problem = "broker 2 tells nothing" if len(self._errors) == 1 else None
        if problem is None:
            self._fail()
        else:
            self._errors.clear()
        return Snapshot(time.time(), 0.0, 1, True, problems=(problem,) if problem else ())

    def _fail(self) -> None:
        if self._errors:
            raise self._errors.pop(0)


def test_a_commit_is_tried_again_while_there_is_no_coordinator() -> None:
    reader = Answering(BrokerError("no coordinator"), ClusterUnreachable("nobody answers"))
    commit(cast(Reader, reader), POSITIONS, "n")
    assert reader.committed == [(POSITIONS, "n")]
    with pytest.raises(CredentialsRefused):
        commit(cast(Reader, Answering(CredentialsRefused("no"))), POSITIONS)


def test_a_snapshot_is_taken_again_until_all_is_known() -> None:
    gatherer = Answering(ClusterUnreachable("nobody answers"), ClusterUnreachable("one does not"))
    assert whole(gatherer.take).problems == ()
