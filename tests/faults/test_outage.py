"""All brokers away for longer than a row may wait: each replay ends and says where it goes on, or goes on by itself.

The long form is a campaign (``make campaign``), which writes docs/reliability.md.
"""

import signal
import threading
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from faults.breaking import Breaker
from faults.counting import write_source
from faults.figures import Figures, kafka_version, write
from faults.proxy import Proxies
from faults.workloads import END_S, MODES, Lane, Load
from running import until
from sensorstream.errors import ExitCode

pytestmark = [pytest.mark.broker, pytest.mark.long]

SHORT = ("-X", "delivery.timeout.ms=6000", "-X", "request.timeout.ms=2000")
FORMS = [
    pytest.param(("at least once",), SHORT, 10.0, False, id="short"),
    pytest.param(tuple(MODES), (), 150.0, True, id="campaign", marks=pytest.mark.campaign),
]


@pytest.mark.timeout(1200)  # the long form: the outage, then all rows at their pace
@pytest.mark.parametrize(("modes", "options", "outage_s", "long"), FORMS)
def test_an_outage_longer_than_the_delivery_timeout(
    breaker: Breaker,
    proxies: Proxies,
    tmp_path: Path,
    modes: tuple[str, ...],
    options: tuple[str, ...],
    outage_s: float,
    long: bool,
) -> None:
    """At least once, what was without an answer for too long may come twice when the next run goes on."""
    rows = 60_000
    source = write_source(tmp_path / "s.csv", rows)
    load = Load(
        breaker.cluster.bootstrap,
        proxies.bootstrap,
        source,
        rows,
        name=f"outage-{long}",
        rate=250,
        modes=modes,
        options=options,
        few=None if long else 5000,
    )
    with ExitStack() as stack:
        for lane in load.lanes:
            lane.start(stack)
        load.flows("at the start")
        breaker.kill_all()
        threading.Event().wait(outage_s)  # the fault itself
        breaker.start()
        for lane in load.lanes:
            running = lane.replaying
            before = len(lane.watch.seen)
            until(partial(has_gone_on_or_ended, lane, before), f"the end of {lane.replay.topic}, or new rows", END_S)
            running.signal(signal.SIGTERM)  # does nothing to one that has ended
            code = running.end(END_S)
            if "to go on" in running.told and code != ExitCode.INTERRUPTED:
                # It may have been on its way out, where the signal ends it as it ends any process.
                assert code in (ExitCode.FAILED, -signal.SIGTERM), running.told
            else:
                assert code == ExitCode.INTERRUPTED, running.told
            lane.replay.rest(running.told, lane.watch.numbers())
            lane.finish_capture()
    for lane in load.lanes:
        outcome = lane.outcome()
        if long:
            line = Figures(
                7, f"outage of {outage_s:g} s, longer than the delivery timeout", lane.client,
                f"replay, {lane.mode}", 1, outcome.replayed, None, None, None, kafka_version(breaker.cluster),
            )  # fmt: skip
            write(line)
            write(replace(line, command=f"capture of the replay, {lane.mode}", count=outcome.captured))
        if lane.mode == "exactly once":
            assert outcome.is_zero, outcome
        assert outcome.replayed.lost == outcome.captured.lost == 0, outcome
        assert outcome.replayed.doubled == outcome.captured.doubled, "the capture holds what is in the topic, once"


def has_gone_on_or_ended(lane: Lane, before: int) -> bool:
    return lane.replaying.process.poll() is not None or len(lane.watch.seen) > before
