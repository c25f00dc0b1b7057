"""The live screen on real brokers: rows as they come, and a broker that dies and returns."""

import asyncio

import pytest

from screen_driving import Driven
from sensorstream import admin
from sensorstream.clients import open_client
from sensorstream.cluster import LocalCluster
from sensorstream.config import Settings, TopicSettings
from sensorstream.monitor.newest_rows import NewestRows, light_settings
from sensorstream.monitor.observer import Observer
from sensorstream.monitor.screen.app import MonitorApp

TOPIC = "SCREEN"


def publish(settings: Settings, *values: bytes) -> None:
    with open_client(settings).publisher() as publisher:
        for value in values:
            publisher.publish(TOPIC, value, partition=0)
        publisher.flush(60)


@pytest.mark.broker
def test_a_broker_dies_and_returns_before_the_viewers_eyes(cluster: LocalCluster) -> None:
    settings = Settings(bootstrap=cluster.bootstrap)
    reading = light_settings(settings)
    admin.create_topics(settings, [TopicSettings(TOPIC, partitions=2, replication_factor=3)])

    async def run(observer: Observer) -> None:
        app = MonitorApp(
            observer,
            lambda topic, partition: NewestRows(lambda: open_client(reading), topic, partition),
            where="shared",
            topic=TOPIC,
        )
        async with app.run_test(size=(80, 24)) as pilot:
            screen = Driven(app, pilot)
            await screen.shows("✓ 3 of 3 up", "✓ all in sync")
            await screen.press("5")
            await screen.shows(f"Live rows > {TOPIC}", "first")
            await asyncio.to_thread(publish, settings, b'{"row":"[red]second"}')
            await screen.until(lambda: screen.rows and "[red]second" in screen.rows[0], "the new row")
            await screen.press("2")
            await screen.shows("Brokers", "✓ up")
            await asyncio.to_thread(cluster.stop_broker, 2, kill=True)
            await screen.shows("✗ BROKER 2 DOWN", "✗ DOWN")
            await asyncio.to_thread(publish, settings, b'{"row":"third"}')
            await screen.press("5")
            await screen.until(lambda: screen.rows and "third" in screen.rows[0], "a row while a broker is down")
            await asyncio.to_thread(cluster.start_broker, 2)
            await screen.shows("✓ all in sync")
            await screen.press("1")
            await screen.shows("✓ 3 of 3 up")

    publish(settings, b'{"row":"first"}')
    with Observer(settings, every_s=1.0, share=0.5) as observer:
        asyncio.run(run(observer))
