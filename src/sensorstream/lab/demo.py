"""The whole lab on the sample data, with a verdict: cluster, topics, three threads, six consumers, lag, proof.

It uses free ports and a folder of its own and takes no settings from outside, so it can neither be disturbed by
another cluster nor disturb one.
"""

import os
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from sensorstream import admin
from sensorstream.clients import open_client
from sensorstream.cluster.local import LocalCluster
from sensorstream.cluster.results import ClusterUp
from sensorstream.config import DEFAULT_GROUP, FILE_NAME, Settings, sensor_topics
from sensorstream.errors import Interrupted, SensorstreamError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.lab.run import LabJob, LabRun, run
from sensorstream.pipelines.replay.job import ReplayOptions, make_job, source_files
from sensorstream.pipelines.verify.verify import Verification, verify

THREADS: Final = 3


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What the demonstration showed. ``passed``: every row was acknowledged, captured exactly once and in order.

    ``folder`` and ``cluster_name`` are what is left of it, None where nothing is; ``seconds`` counts from the start
    to the verdict.
    """

    cluster: ClusterUp
    topics: admin.TopicsCreated
    run: LabRun
    verification: Verification
    passed: bool
    seconds: float
    folder: str | None
    cluster_name: str | None


def demonstrate(
    *,
    keep: bool = False,
    kafka_version: str | None = None,
    offline: bool = False,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
) -> Demonstration:
    """Run the whole lab once; with ``keep`` the cluster and the captured files stay.

    Raises Interrupted, LocalClusterError and whatever else ends it early; nothing is left running then.
    """
    stop = stop or threading.Event()
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="sensorstream-demo-"))
    cluster = LocalCluster(f"demo-{os.getpid()}", listener=listener)
    stays = False
    try:
        listener(Notice("1. start a real Apache Kafka: three brokers, each a process of its own"))
        up = cluster.up(
            brokers=3,
            kafka_version=kafka_version,
            ports=(0, 0, 0),
            data_dir=folder / "kafka",
            offline=offline,
            stop=stop,
        )
        listener(Notice(f"   Kafka {up.kafka_version} is ready at {','.join(up.bootstrap)} after {up.seconds:.1f} s"))
        settings = Settings(bootstrap=up.bootstrap, topics=sensor_topics(), group=DEFAULT_GROUP, delay=0.0)
        listener(Notice("2. create the topics AIR, EARTH and WATER: two partitions, three replicas"))
        topics = admin.create_topics(settings, settings.topics)
        listener(Notice(f"3. publish three sensor files from {THREADS} threads; six consumers store six files"))
        captured = folder / "captured"
        lab = run(
            open_client(settings),
            settings,
            _job(settings, folder, captured, up.bootstrap),
            stop=stop,
            listener=listener,
        )
        if stop.is_set():
            raise Interrupted("interrupted before the verdict")
        listener(Notice("4. compare every captured row with its source"))
        sources = dict(source_files(settings, ()))
        verification = verify(sources, [captured], sources_given=True, listener=listener, stop=stop)
        passed = lab.replay.delivered and lab.captured and verification.exactly_once
        stays = keep
        return Demonstration(
            up,
            topics,
            lab,
            verification,
            passed,
            round(time.monotonic() - began, 2),
            str(folder) if stays else None,
            cluster.name if stays else None,
        )
    finally:
        if not stays:
            listener(Notice("5. stop the brokers and clean up"))
            clean_up(cluster, folder)


def _job(settings: Settings, folder: Path, captured: Path, bootstrap: tuple[str, ...]) -> LabJob:
    # An empty configuration file: the consumers must not find one of the user's.
    configuration = folder / FILE_NAME
    configuration.write_text("", encoding="utf-8")
    replay_options = ReplayOptions(rejects_folder=folder)
    return LabJob(
        make_job(replace(settings, thread=THREADS), replay_options),
        captured,
        settings.group,
        arguments=("--bootstrap", ",".join(bootstrap)),
        environment={"SENSORSTREAM_CONFIG": str(configuration)},
        stop_when_captured=True,
    )


def clean_up(cluster: LocalCluster, folder: Path) -> None:
    """Stop the cluster, if it was started, and remove the folder with all that is in it."""
    try:
        cluster.down(delete_data=True)
    except SensorstreamError:
        # It was never started; what it left is below the folder.
        pass
    finally:
        shutil.rmtree(folder, ignore_errors=True)
