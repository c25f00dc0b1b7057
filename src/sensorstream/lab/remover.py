"""Clean up after a demo even if it is killed: a small process waits for its end and does so.

Brokers outlive the command that started them, so a demonstration that ends by SIGKILL would leave three that nobody
knows of. The remover holds the other end of a pipe: the system closes it however the demonstration ends.
"""

import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from sensorstream.errors import SensorstreamError

_DONE: Final = b"done"
_END_S: Final = 10.0


class Remover:
    """Removes the cluster ``name`` and ``folder`` when this process dies before it has called :meth:`done`."""

    def __init__(self, name: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, name, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # the terminal's Ctrl-C is not for it
        )

    def done(self) -> None:
        """There is nothing left to remove, or it is to stay."""
        # It may be gone: somebody has killed it, too.
        with suppress(OSError, subprocess.TimeoutExpired):
            self._process.communicate(_DONE, timeout=_END_S)


def clean_up(name: str, folder: Path) -> None:
    """Stop the cluster, if it was started, and remove the folder with all that is in it."""
    from sensorstream.cluster.local import LocalCluster

    try:
        LocalCluster(name).down(delete_data=True)
    except SensorstreamError:
        # It was never started; what it left is below the folder.
        pass
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Wait until the one who is guarded says that it is done, or is gone."""
    name, folder = sys.argv[1:]
    if sys.stdin.buffer.read() != _DONE:
        clean_up(name, Path(folder))


if __name__ == "__main__":
    main()
