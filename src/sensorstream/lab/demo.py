"""The whole lab on the sample data, with a verdict: cluster, topics, three threads, six consumers, lag, verification.

It uses free ports and a folder of its own and takes no settings from outside, so it can neither be disturbed by
another cluster nor disturb one.
"""

import os
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from sensorstream import admin
from sensorstream.clients import open_client
from sensorstream.cluster.local import LocalCluster
from sensorstream.cluster.results import ClusterUp
from sensorstream.config import DEFAULT_GROUP, FILE_NAME, Settings, sensor_topics
from sensorstream.errors import Interrupted
from sensorstream.events import Listener, Notice, Step, ignore
from sensorstream.lab.chaos.chaos import chaos
from sensorstream.lab.chaos.plan import ChaosPlan, Fault, Target
from sensorstream.lab.chaos.results import ChaosResult
from sensorstream.lab.remover import Remover, clean_up
from sensorstream.lab.report import Report, watch, write_report
from sensorstream.lab.run import LabJob, LabRun, run
from sensorstream.monitor.lag import GroupLag
from sensorstream.pipelines.replay.job import ReplayOptions, make_job, source_files
from sensorstream.pipelines.verify.verdict import Verification
from sensorstream.pipelines.verify.verify import verify
from sensorstream.records import TopicPartition

THREADS: Final = 3
FILES: Final = 6
FLOWING_WITHIN_S: Final = 120.0
CHAOS_DELAY_S: Final = 0.012
"""Between the rows of a source while the cluster is broken: 2,880 rows take longer than a leader's death and return."""


REPORT_DELAY_S: Final = 0.004
"""Between the rows of a source where the run is to be seen over time: 2,880 rows take some 12 s."""


Part: TypeAlias = admin.TopicsCreated | ChaosResult | LabRun | GroupLag | Verification
"""What a step has shown."""


def show_nothing(part: object) -> None:
    """For those who take the whole result at the end."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What the demonstration showed. ``passed``: every row was acknowledged, captured exactly once and in order.

    ``folder`` and ``cluster_name`` are what is left of it, None where nothing is; ``seconds`` counts from the start
    to the verdict; ``chaos`` is what was broken meanwhile, None where nothing was.
    """

    cluster: ClusterUp
    topics: admin.TopicsCreated
    run: LabRun
    verification: Verification
    passed: bool
    seconds: float
    folder: str | None
    cluster_name: str | None
    chaos: ChaosResult | None = None


def demonstrate(
    *,
    keep: bool = False,
    kafka_version: str | None = None,
    offline: bool = False,
    with_chaos: bool = False,
    report: Path | None = None,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
    show: Callable[[Part], None] = show_nothing,
) -> Demonstration:
    """Run the whole lab once; with ``keep`` the cluster and the captured files stay. ``with_chaos`` kills a leader
    while rows are published and captured, and brings it back. ``report``: write there what it has shown, as a page of
    HTML; rows are published more slowly then, so that there is something to see over time. ``show`` is given each
    part of the result as soon as its step is done.

    Raises Interrupted, LocalClusterError and whatever else ends it early; nothing is left running then.
    """
    stop = stop or threading.Event()
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="sensorstream-demo-"))
    cluster = LocalCluster(f"demo-{os.getpid()}", listener=listener)
    remover = Remover(cluster.name, folder)
    stays = False
    try:
        listener(Step(1, "start a real Apache Kafka: three brokers, each a process of its own"))
        up = cluster.up(
            brokers=3,
            kafka_version=kafka_version,
            ports=(0, 0, 0),
            data_dir=folder / "kafka",
            offline=offline,
            stop=stop,
        )
        listener(Notice(f"   Kafka {up.kafka_version} is ready at {','.join(up.bootstrap)} after {up.seconds:.1f} s"))
        settings = Settings(
            bootstrap=up.bootstrap,
            topics=sensor_topics(),
            group=DEFAULT_GROUP,
            delay=CHAOS_DELAY_S if with_chaos else REPORT_DELAY_S if report is not None else 0.0,
        )
        listener(Step(2, "create the topics AIR, EARTH and WATER: two partitions, three replicas"))
        topics = admin.create_topics(settings, settings.topics)
        show(topics)
        listener(Step(3, f"publish three sensor files from {THREADS} threads; six consumers store six files"))
        captured = folder / "captured"
        job = _job(settings, folder, captured, up.bootstrap)
        broken = None
        with ExitStack() as watching:
            observer = watching.enter_context(watch(settings)) if report is not None else None
            if with_chaos:
                listener(Notice("   and meanwhile the leader of AIR-0 is killed"))
                lab, broken = _run_broken(cluster, settings, job, stop, listener)
            else:
                lab = run(open_client(settings), settings, job, stop=stop, listener=listener)
        if stop.is_set():
            raise Interrupted("interrupted before the verdict")
        if broken is not None:
            show(broken)
        show(lab)
        listener(Step(4, "see how far behind the consumers are"))
        if lab.lag is not None:
            show(lab.lag)
        listener(Step(5, "compare every captured row with its source"))
        sources = dict(source_files(settings, ()))
        verification = verify(sources, [captured], sources_given=True, listener=listener, stop=stop)
        show(verification)
        passed = lab.replay.delivered and lab.captured and verification.exactly_once
        passed = passed and (broken is None or (broken.healthy and broken.faults > 0))
        if report is not None and observer is not None:
            verdict = "Passed: every row was captured exactly once." if passed else "Failed: see below."
            view = observer.view
            shown = Report("sensorstream demo", verdict, passed, lab, settings.group, view, verification, broken)
            write_report(report, shown)
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
            broken,
        )
    finally:
        if not stays:
            listener(Step(6, "stop the brokers and clean up"))
            clean_up(cluster.name, folder)
        remover.done()


def _run_broken(
    cluster: LocalCluster, settings: Settings, job: LabJob, stop: threading.Event, listener: Listener
) -> tuple[LabRun, ChaosResult]:
    """Run the lab while its cluster is broken; the chaos is at its end when this returns, also by an error."""
    # Not rows by the thousand between the lines about leaders: a progress line stands for them.
    job = replace(job, quiet=True, replay=replace(job.replay, log_rows=False))
    plan = ChaosPlan((Fault("kill", Target("leader", TopicPartition("AIR", 0))),), 20.0, 1.0, 10.0, seed=1)
    ended = threading.Event()
    with ThreadPoolExecutor(1, "chaos") as pool:
        breaking = pool.submit(_break_when_rows_flow, cluster, plan, job.folder, ended, listener)
        try:
            lab = run(open_client(settings), settings, job, stop=stop, listener=listener)
        except BaseException:
            ended.set()
            raise
        if stop.is_set():
            ended.set()
        return lab, breaking.result()


def _break_when_rows_flow(
    cluster: LocalCluster, plan: ChaosPlan, captured: Path, ended: threading.Event, listener: Listener
) -> ChaosResult:
    """A command that has just been started gives up after ten seconds; one that is at work waits for two minutes."""
    deadline = time.monotonic() + FLOWING_WITHIN_S
    while not ended.wait(0.1) and time.monotonic() < deadline:
        files = list(captured.glob("*.csv"))
        if len(files) == FILES and all(file.stat().st_size for file in files):
            break
    return chaos(cluster, plan, stop=ended, listener=listener)


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
