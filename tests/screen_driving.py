"""The live screen while a test presses its keys and reads it."""

import asyncio
from collections.abc import Callable

from textual.pilot import Pilot

from sensorstream.monitor.screen.app import MonitorApp
from sensorstream.monitor.screen.bars import Bar, Tabs
from sensorstream.monitor.screen.canvas import Canvas
from sensorstream.monitor.screen.grid import Grid


class Driven:
    """The app while a test presses its keys."""

    def __init__(self, app: MonitorApp, pilot: Pilot[None]) -> None:
        self.app = app
        self._pilot = pilot

    async def press(self, *keys: str) -> None:
        await self._pilot.press(*keys)
        await self._pilot.pause()

    async def until(self, holds: Callable[[], object], what: str) -> None:
        end = asyncio.get_running_loop().time() + 150
        while not holds():
            assert asyncio.get_running_loop().time() < end, f"{what}:\n{self.text}"
            await asyncio.sleep(0.02)

    async def shows(self, *words: str) -> None:
        await self.until(lambda: all(word in self.text for word in words), f"{words} did not come")

    @property
    def lines(self) -> list[str]:
        """What the screen shows, line by line."""
        screen = self.app.screen
        found: list[str] = []
        for widget in screen.query(Bar).results(Bar), screen.query(Tabs).results(Tabs):
            found += [one.render_line(0).text for one in widget if one.display]
        for part in [*screen.query(Canvas).results(Canvas), *screen.query(Grid).results(Grid)]:
            if not isinstance(part, Bar | Tabs) and part.size.height and part.region.area:
                found += [part.render_line(y).text for y in range(part.size.height)]
        return found

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def rows(self) -> list[str]:
        """The lines of the table, without its header."""
        grid = self.app.screen.query_one(Grid)
        return [line for y in range(1, grid.size.height) if (line := grid.render_line(y).text.strip())]
