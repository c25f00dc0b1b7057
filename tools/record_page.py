"""Take the pictures of the page that the docs show: ``python tools/record_page.py [docs/img]``.

It starts a cluster of its own, publishes and captures the samples, and opens the page in chromium.
"""

import sys
import threading
import time
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from sensorstream import admin
from sensorstream.clients import open_client
from sensorstream.cluster import LocalCluster
from sensorstream.config import Settings, sensor_topics
from sensorstream.monitor.observer import Observer
from sensorstream.monitor.web.server import PageOptions, PageServer
from sensorstream.records import TopicPartition
from sensorstream.serde.json import RowEncoder

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "img"
WATCHED_S = 45.0


def publish(settings: Settings, stop: threading.Event) -> None:
    """The samples at a pace that goes up and down, and a group that is behind now and then."""
    lines = {topic.name: topic.source.read_text().splitlines()[:2880] for topic in settings.topics if topic.source}
    encoders = {name: RowEncoder(rows[0].split(",")) for name, rows in lines.items()}
    client = open_client(settings)
    with client.publisher() as publisher, client.reader(group="sensor_data_group") as reader:
        places = [TopicPartition(name, number) for name in lines for number in range(2)]
        reader.assign(reader.beginning_offsets(places))
        for number in range(1, 2880):
            if stop.wait(0.04 if number // 150 % 2 else 0.02):
                return
            for name, rows in lines.items():
                publisher.publish(name, encoders[name].encode(rows[number].split(",")), partition=number % 2)
            if number % 40 == 0:
                ends = reader.end_offsets(places)
                behind = 60 if number // 200 % 2 else 10
                reader.commit({where: max(0, end - behind) for where, end in ends.items()})


def take(browser: Any, url: str, path: Path, *, dark: bool = False, width: int = 1280, height: int = 1000) -> None:
    """One picture."""
    media = {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get("about:blank")
    browser.get(url)
    time.sleep(6)
    browser.save_screenshot(str(path))


def main() -> None:
    """Take them all."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES
    topics = sensor_topics()
    cluster = LocalCluster("pictures")
    cluster.up(ports="auto")
    stop = threading.Event()
    try:
        settings = Settings(bootstrap=cluster.bootstrap, topics=topics)
        admin.create_topics(settings, topics)
        thread = threading.Thread(target=publish, args=(settings, stop))
        thread.start()
        options = webdriver.ChromeOptions()
        for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
            options.add_argument(argument)
        options.binary_location = "/usr/bin/chromium"
        with Observer(settings, every_s=1.0) as observer, PageServer(observer, settings, PageOptions(port=0)) as page:
            browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
            try:
                time.sleep(WATCHED_S)
                take(browser, f"{page.url}#/overview", folder / "page-overview.png", height=1120)
                take(browser, f"{page.url}#/curves/AIR", folder / "page-curves.png", dark=True, height=900)
                take(browser, f"{page.url}#/topics/AIR", folder / "page-phone.png", width=360, height=780)
            finally:
                browser.quit()
                stop.set()
                thread.join()
    finally:
        stop.set()
        cluster.down(delete_data=True)


if __name__ == "__main__":
    main()
