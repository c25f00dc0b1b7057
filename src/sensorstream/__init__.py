"""Replay recorded sensor data through Apache Kafka, capture it back, and see what the cluster does.

The names below are the public ones, with the errors of :mod:`sensorstream.errors`; see docs/library.md. Each is
imported when it is first used: importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sensorstream.cluster import LocalCluster
    from sensorstream.library.capturing import capture
    from sensorstream.library.replaying import replay
    from sensorstream.library.scoring import score
    from sensorstream.library.streaming import stream
    from sensorstream.library.topics import create_topic
    from sensorstream.library.verifying import verify

__all__ = ["LocalCluster", "__version__", "capture", "create_topic", "replay", "score", "stream", "verify"]
__version__ = "0.1.0"

_MODULES = {
    "LocalCluster": "sensorstream.cluster",
    "capture": "sensorstream.library.capturing",
    "create_topic": "sensorstream.library.topics",
    "replay": "sensorstream.library.replaying",
    "score": "sensorstream.library.scoring",
    "stream": "sensorstream.library.streaming",
    "verify": "sensorstream.library.verifying",
}


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(module), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
