"""The first look at a cluster is given time, as there may be no other; those that follow are not."""

from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import Any

import pytest

from sensorstream.admin import watching
from sensorstream.admin.asking import TIMEOUT_S, Asker
from sensorstream.admin.watching import FIRST_ANSWER_S, Watcher
from sensorstream.clients.kafka_python.broker_watch import CONNECT_S
from sensorstream.config import Settings
from sensorstream.errors import ClusterUnreachable


class Silent(Asker):
    """Nobody answers; it keeps how long that is waited for."""

    waited: list[float]

    def known(self) -> dict[int, tuple[str, int]]:
        return {}

    def any(self, request: Callable[[], Any], brokers: Collection[int], timeout_s: float) -> Any:
        self.waited.append(timeout_s)


def test_a_slow_cluster_is_not_called_away_at_the_first_look(monkeypatch: pytest.MonkeyPatch) -> None:
    Silent.waited = []
    monkeypatch.setattr(watching, "Session", lambda *_, **__: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(watching, "Asker", Silent)
    with Watcher(Settings(bootstrap=("slow:9092",))) as watcher:
        with pytest.raises(ClusterUnreachable):
            watcher.look()
        watcher._asker.timeout_s = TIMEOUT_S  # as after a look that went well
        with pytest.raises(ClusterUnreachable):
            watcher.look()
    first, later = Silent.waited
    assert first >= CONNECT_S, "no less than a connection may take"
    assert later == FIRST_ANSWER_S
