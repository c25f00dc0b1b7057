"""A process that ends when its owner process is gone, even if that was killed."""

import os
import threading
from typing import Final

OWNER_VARIABLE: Final = "SENSORSTREAM_OWNER"
"""The process id of the owner, in the environment of what it starts."""
_LOOK_EVERY_S: Final = 1.0


def stop_with_owner(stop: threading.Event) -> None:
    """Set ``stop`` as soon as the owner that the environment names is no longer this process's parent."""
    owner = os.environ.get(OWNER_VARIABLE, "")
    if not owner.isdecimal():
        return

    def watch() -> None:
        while os.getppid() == int(owner):
            if stop.wait(_LOOK_EVERY_S):
                return
        stop.set()

    threading.Thread(target=watch, name="owner-watch", daemon=True).start()
