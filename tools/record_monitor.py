"""Draw the pictures of ``sensorstream monitor``: ``python tools/record_monitor.py [FOLDER]`` (default: docs/img).

Starts a cluster of its own, replays the samples into it, captures them in one group that keeps up and one that stops,
opens the screen on it and presses its keys; what the screen shows is saved as SVG. Nothing is left running.
"""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from sensorstream.clients import open_client
from sensorstream.cluster import LocalCluster
from sensorstream.config import Settings
from sensorstream.monitor.newest_rows import NewestRows, light_settings
from sensorstream.monitor.observer import Observer
from sensorstream.monitor.screen.app import MonitorApp
from sensorstream.monitor.view import View

ROOT = Path(__file__).parents[1]
PROGRAM = [sys.executable, "-m", "sensorstream"]
WATCH_S = 90.0
"""So long the cluster is watched before the first picture: plots want something to show."""
SMALL, WIDE = (80, 24), (132, 36)
FONTS = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace'


def picture(svg: str) -> str:
    """The picture without fonts to load: one that is shown by a web page may load nothing."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return re.sub(r"font-family: ?(Fira Code|arial)[^;]*;", f"font-family: {FONTS};", svg)


def work(stack: ExitStack, *arguments: str, folder: str) -> None:
    """Start a command of the program, which ends with the stack."""
    process = subprocess.Popen(
        [*PROGRAM, *arguments, "--quiet"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    stack.callback(process.wait)
    stack.callback(process.terminate)


async def shot(
    observer: Observer, settings: Settings, size: tuple[int, int], keys: list[str], to: Path, *, light: bool = False
) -> None:
    """Open the screen, press keys with a pause after each, save what it shows."""
    reading = light_settings(settings)
    app = MonitorApp(
        observer,
        lambda topic, partition: NewestRows(lambda: open_client(reading), topic, partition),
        where="cluster:lab",
        topic="AIR",
        light=light,
    )
    async with app.run_test(size=size) as pilot:
        await pilot.pause(1.0)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(1.0)
        if keys and keys[-1] in "56":
            await pilot.pause(20.0 if keys[-1] == "6" else 3.0)
        to.write_text(picture(app.export_screenshot(title="sensorstream monitor")), encoding="utf-8")
        sys.stdout.write(f"{to}\n")


def newer(observer: Observer, after: View | None, seconds: float) -> View | None:
    """Wait for so many seconds; the newest view."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        after = observer.wait(1.0, after=after) or after
    return after


def main() -> None:
    """Draw every picture."""
    target = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "docs" / "img"
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        os.environ["SENSORSTREAM_STATE_DIR"] = home
        local = LocalCluster("lab")
        local.up(ports="auto")
        stack.callback(local.down, delete_data=True)
        settings = Settings(bootstrap=local.bootstrap)
        there = ["-b", "cluster:lab"]
        subprocess.run([*PROGRAM, "topics", "create", *there, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        work(stack, "produce", *there, "--rate", "25", "--loop", folder=home)
        work(stack, "consume", *there, "-t", "AIR", "-g", "dashboard", "--to", f"{home}/air", folder=home)
        archive = f"{home}/earth.csv"
        work(
            stack,
            "consume",
            *there,
            "-t",
            "EARTH",
            "-p",
            "0",
            "-g",
            "archive",
            "-c",
            "200",
            "--to",
            archive,
            folder=home,
        )
        observer = stack.enter_context(Observer(settings))
        view = newer(observer, None, WATCH_S)

        def draw(name: str, size: tuple[int, int], *keys: str, light: bool = False) -> None:
            asyncio.run(shot(observer, settings, size, list(keys), target / f"monitor-{name}.svg", light=light))

        draw("overview", SMALL, "1")
        draw("groups", SMALL, "4", light=True)
        draw("rows", SMALL, "5")
        draw("latency", SMALL, "6")
        local.stop_broker(2, kill=True)
        newer(observer, view, 6.0)
        draw("broker-down", WIDE, "1")


if __name__ == "__main__":
    main()
