"""What all tests share: a state folder of their own, and real brokers. A broker missing is a failure, never a skip.

``SENSORSTREAM_TEST_KAFKA_VERSION`` chooses the version of Kafka that the shared cluster runs.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import Scheduling

from scheduling import OneWithoutBrokers
from sensorstream.cluster import LocalCluster
from sensorstream.cluster.preflight import NODE_MARK
from sensorstream.cluster.state import Mode

# How long an example takes is the machine's affair.
settings.register_profile("sensorstream", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=40)
settings.register_profile("campaign", settings.get_profile("sensorstream"), max_examples=1000)
settings.load_profile("sensorstream")

KEPT = (
    "SENSORSTREAM_CACHE_DIR",
    "SENSORSTREAM_JAVA",
    "SENSORSTREAM_TEST_COLD",
    "SENSORSTREAM_TEST_DATA",
    "SENSORSTREAM_TEST_KAFKA_VERSION",
)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """The order of files over several processes, where ``make test`` or ``--dist loadfile`` asks for whole files."""
    return OneWithoutBrokers(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mix the files that wait for brokers evenly among those that compute, the long ones first.

    Several processes take file after file: so waiting and computing overlap, and no long file is begun at the end.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)

    def marked(path: Path, marker: str) -> bool:
        return any(item.get_closest_marker(marker) for item in files[path])

    long_first = sorted(files, key=lambda path: not marked(path, "long"))
    waiting = [path for path in long_first if marked(path, "broker")]
    computing = [path for path in long_first if not marked(path, "broker")]
    places = {path: number / len(waiting) for number, path in enumerate(waiting)}
    places.update({path: (number + 0.5) / len(computing) for number, path in enumerate(computing)})
    items[:] = [item for path in sorted(files, key=lambda path: places[path]) for item in files[path]]


@pytest.fixture(scope="session", autouse=True)
def _own_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees the developer's clusters, configuration or environment; the cache of jars is shared."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("SENSORSTREAM_") and name not in KEPT:
                patch.delenv(name)
        patch.setenv("SENSORSTREAM_STATE_DIR", str(folder / "state"))
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        yield
    assert not left_over(folder.parent), "brokers were left running"


def left_over(root: Path) -> list[list[str]]:
    """The command lines of Java processes that belong to a cluster with its folder below ``root``."""
    mark = f"{NODE_MARK}{root}{os.sep}"
    lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if any(word.startswith(mark) for word in line)]


@pytest.fixture(scope="session")
def cluster(_own_surroundings: None) -> Iterator[LocalCluster]:
    """Three brokers on free ports, shared by all tests: use topic names of your own, start again what you stop."""
    local = LocalCluster("shared")
    local.up(kafka_version=os.environ.get("SENSORSTREAM_TEST_KAFKA_VERSION"), ports="auto")
    try:
        yield local
    finally:
        local.down(delete_data=True)
        assert not left_over(local.folder), "brokers were left running"


@pytest.fixture(scope="session")
def broker(cluster: LocalCluster) -> tuple[str, ...]:
    """The bootstrap addresses of the shared cluster."""
    return cluster.bootstrap


@pytest.fixture
def patient_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at a cluster from this process wait as long as a busy machine may need; brokers that hang cost as long."""
    from sensorstream.admin import asking, watching

    monkeypatch.setattr(asking, "FIRST_TIMEOUT_S", 60.0)
    monkeypatch.setattr(watching, "TIMEOUT_S", 60.0)


@pytest.fixture(autouse=True)
def _whole_again(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that left a shared broker stopped must not spoil the next one."""
    yield
    if "cluster" in request.fixturenames:
        local: LocalCluster = request.getfixturevalue("cluster")
        if len(local.running_brokers()) < len(local.bootstrap):
            local.up()


@pytest.fixture
def own_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., LocalCluster]]:
    """Makes clusters of the test's own: ``own_cluster(brokers=1, kafka_version=None)`` starts one on free ports."""
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(tmp_path / "state"))
    made: list[LocalCluster] = []

    def make(*, brokers: int = 3, kafka_version: str | None = None, mode: Mode | None = None) -> LocalCluster:
        local = LocalCluster(f"own-{len(made)}")
        made.append(local)
        local.up(brokers=brokers, kafka_version=kafka_version, mode=mode, ports="auto")
        return local

    yield make
    for local in made:
        local.down(delete_data=True)
    assert not left_over(tmp_path), "brokers were left running"
