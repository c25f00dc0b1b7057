"""The interface of an object that brings views to the screen."""

from typing import Protocol

from sensorstream.monitor.view import View


class Watcher(Protocol):
    """Who brings the views: :class:`sensorstream.monitor.observer.Observer`."""

    every_s: float

    @property
    def view(self) -> View | None:
        """The newest view."""

    def wait(self, timeout_s: float, after: View | None = None) -> View | None:
        """A view that is newer than ``after``, once there is one."""

    def pause(self) -> None:
        """Ask nothing."""

    def resume(self) -> None:
        """Ask again."""

    def refresh_now(self) -> None:
        """Ask at once."""
