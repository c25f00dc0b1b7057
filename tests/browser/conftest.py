"""A browser, Debian's chromium where it is installed, and a page served from real brokers with values that try it.

In CI (``CI`` is set) a browser that is missing is a failure; elsewhere these tests are skipped then.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from running import until
from sensorstream import admin
from sensorstream.clients import open_client
from sensorstream.clients.base import Reader
from sensorstream.cluster import LocalCluster
from sensorstream.config import SENSOR_TIME_FORMAT, Settings, TopicSettings
from sensorstream.errors import BrokerError
from sensorstream.monitor.observer import Observer
from sensorstream.monitor.web.server import PageOptions, PageServer
from sensorstream.records import TopicPartition

SCRIPT = "<script>alert(1)</script>"
RED = "[red]stopped[/red]"
AIR, ODD, SCORED = "PAGE_AIR", "PAGE_ODD", "PAGE_SCORED"
ROWS = 120


@dataclass(frozen=True)
class Lab:
    """A page that is served, and what is needed to make it show something new."""

    url: str
    settings: Settings
    cluster: LocalCluster

    def at(self, *parts: str) -> str:
        """The address of one of its views."""
        from urllib.parse import quote

        return f"{self.url}#/" + "/".join(quote(part, safe="") for part in parts)

    def publish(self, topic: str, *values: bytes | None, partition: int = 0, key: bytes | None = None) -> None:
        """Records that are there when this returns."""
        with open_client(self.settings).publisher() as publisher:
            waiting = [publisher.publish(topic, value, partition=partition, key=key) for value in values]
            publisher.flush(60)
            for one in waiting:
                one.wait(60)


def air(number: int) -> bytes:
    """A row of two stations, one row a minute each."""
    minute = f"31/08/2023 {10 + number // 120:02}:{number // 2 % 60:02}:00"
    station, temperature, pm = f"SVDT{number % 2}", 20 + number % 7, f"{15 + number % 11}.5"
    return f'{{"Time":"{minute}","Station":"{station}","Temperature":{temperature},"PM2.5":{pm}}}'.encode()


def scored(number: int) -> bytes:
    """A scored post of one of three pages."""
    page = ("news", SCRIPT, RED)[number % 3]
    label, compound = (("positive", "0.6"), ("neutral", "0.0"), ("negative", "-0.7"))[number * 7 % 11 % 3]
    return (
        f'{{"page":"{page}","text":"post {number} {SCRIPT}","time":"2026-01-01T{number % 24:02}:00:00Z",'
        f'"label":"{label}","compound":{compound},"status":"ok"}}'
    ).encode()


@pytest.fixture(scope="module")
def lab(cluster: LocalCluster) -> Iterator[Lab]:
    topics = tuple(
        TopicSettings(name, partitions=2, time_column="Time" if name == AIR else None, time_format=SENSOR_TIME_FORMAT)
        for name in (AIR, ODD, SCORED)
    )
    settings = Settings(bootstrap=cluster.bootstrap, topics=topics)
    admin.create_topics(settings, topics)
    quiet = Lab("", settings, cluster)
    for partition in (0, 1):
        # A station's rows are in both.
        quiet.publish(
            AIR, *(air(number) for number in range(ROWS) if number // 2 % 2 == partition), partition=partition
        )
    quiet.publish(
        ODD, f'{{"a":"{SCRIPT}","b":"{RED}","n":1.50}}'.encode(), b"plain text", b"\xff\xfe", None, key=b"<b>"
    )
    quiet.publish(SCORED, *map(scored, range(60)))
    for group, offset in ((SCRIPT, 10), (RED, ROWS // 2)):
        with open_client(settings).reader(group=group) as reader:
            until(lambda: committed(reader, offset), f"{group} has committed")  # noqa: B023  # it is called at once
    with (
        Observer(settings, every_s=1.0, share=0.3) as observer,
        PageServer(observer, settings, PageOptions(port=0)) as page,
    ):
        assert observer.wait(60) is not None
        yield Lab(page.url, settings, cluster)
    admin.delete_topics(settings, [AIR, ODD, SCORED])


def committed(reader: Reader, offset: int) -> bool:
    """Commit; the first group of a cluster has no settled coordinator for a moment."""
    where = TopicPartition(AIR, 0)
    try:
        reader.assign({where: offset})
        reader.commit({where: offset})
    except BrokerError:
        return False
    return True


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    program, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if program is None or driver is None:
        if os.environ.get("CI"):
            pytest.fail("a browser is missing: apt install chromium chromium-driver")
        pytest.skip("no browser here: apt install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = program
    # As root there is no sandbox to be had; the pages are our own.
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1280,900",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.unhandled_prompt_behavior = "ignore"
    made = webdriver.Chrome(options=options, service=Service(driver))
    made.set_page_load_timeout(120)
    made.set_script_timeout(120)
    try:
        yield made
    finally:
        made.quit()


@pytest.fixture
def wide(browser: Any) -> Any:
    """The browser as it is on a desk, light."""
    return sized(browser, 1280, 900)


def sized(browser: Any, width: int, height: int) -> Any:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    themed(browser, "light")
    browser.get_log("browser")
    return browser


def themed(browser: Any, theme: str) -> None:
    """What the system is set to."""
    media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
