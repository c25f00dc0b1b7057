"""Station 8: the file of the language model, unpacked once in a process, if wanted before anybody asks for it.

Unpacking takes most of the time that the model's beginning takes, and lets other threads run meanwhile. So it stands
apart from what needs numpy, whose import would hold them up.
"""

import lzma
import threading
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

_unpacked: list[bytes] = []
_ahead: list[threading.Thread] = []


def begin() -> None:
    """Begin to unpack it, on a thread that nobody waits for; only the first time in a process."""
    if not _ahead:
        _ahead.append(threading.Thread(target=_try, name="sensorstream-language-model", daemon=True))
        _ahead[0].start()


def _try() -> None:
    with suppress(Exception):  # who takes it meets the same
        _unpacked.append(_unpack())


def take() -> bytes:
    """Its 68 MB, an archive of numpy arrays, for one taker at a time. They are not kept here.

    Raises OSError or LZMAError where the installed package is broken.
    """
    for thread in _ahead:
        thread.join()
    return _unpacked.pop() if _unpacked else _unpack()


def _unpack() -> bytes:
    package = find_spec("py3langid")
    if package is None or package.origin is None:
        raise ImportError("py3langid is not installed")
    return lzma.decompress(Path(package.origin).with_name("data").joinpath("model.npz.xz").read_bytes())
