"""A current view, or one with rates after watching for a while."""

import threading
import time
from typing import Final

from sensorstream.config import Settings
from sensorstream.events import Listener, ignore
from sensorstream.monitor.gather import Gatherer
from sensorstream.monitor.rates import History
from sensorstream.monitor.view import View

_MOST_EVERY_S: Final = 2.0


def view_after(
    settings: Settings, seconds: float, *, stop: threading.Event | None = None, listener: Listener = ignore
) -> View:
    """The view after watching for so many seconds, sooner when ``stop`` is set; 0: of one snapshot, without rates.

    Raises ClusterUnreachable, CredentialsRefused, BrokerError.
    """
    stop = stop or threading.Event()
    history = History()
    with Gatherer(settings, listener=listener) as gatherer:
        view = history.add(gatherer.take())
        end = time.monotonic() + seconds
        while not stop.is_set() and (left := end - time.monotonic()) > 0:
            stop.wait(min(left, _MOST_EVERY_S, max(seconds / 4, 0.1)))
            view = history.add(gatherer.take())
    return view
