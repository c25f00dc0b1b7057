"""Station 8: the language model's file, unpacked once per machine, and loaded early if requested.

Unpacking takes most of the time that the model's beginning takes, and lets other threads run meanwhile. So it stands
apart from what needs numpy, whose import would hold them up. What was unpacked is kept in the user's cache folder,
68 MB of it, under the digest of what it was made from: whoever comes next maps it into memory, at no cost, and all
processes share it. Where it can't be kept it is unpacked each time.
"""

import hashlib
import io
import lzma
import mmap
import threading
import zipfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, NamedTuple

from sensorstream.own_files import make_folder, write_whole
from sensorstream.state_folder import cache_folder


class Archive(NamedTuple):
    """An archive of numpy arrays: all of it in memory, and the same to be read as a file."""

    content: bytes | mmap.mmap
    file: BinaryIO


_at_hand: list[Archive] = []
_ahead: list[threading.Thread] = []


def begin() -> None:
    """Begin to get it, on a thread that nobody waits for; only the first time in a process."""
    if not _ahead:
        _ahead.append(threading.Thread(target=_try, name="sensorstream-language-model", daemon=True))
        _ahead[0].start()


def _try() -> None:
    with suppress(Exception):  # who takes it meets the same
        _at_hand.append(_get())


def take() -> Archive:
    """Its 68 MB, for one taker at a time. They are not kept here.

    Raises ImportError, OSError or LZMAError where the package is missing or broken.
    """
    for thread in _ahead:
        thread.join()
    return _at_hand.pop() if _at_hand else _get()


def _get() -> Archive:
    package = find_spec("py3langid")
    if package is None or package.origin is None:
        raise ImportError("py3langid is not installed")
    packed = Path(package.origin).with_name("data").joinpath("model.npz.xz").read_bytes()
    kept = _place() / f"{hashlib.blake2b(packed, digest_size=16).hexdigest()}.npz"
    with suppress(OSError, ValueError):
        return _mapped(kept)
    content = lzma.decompress(packed)
    with suppress(OSError):
        make_folder(kept.parent)
        write_whole(kept, content)
    return Archive(content, io.BytesIO(content))


def _place() -> Path:
    return cache_folder() / "language-model"


def _mapped(path: Path) -> Archive:
    """Raises OSError, ValueError where it is not there or not whole."""
    file = path.open("rb")
    if not zipfile.is_zipfile(file):  # its end is looked at
        raise ValueError(f"{path} is no archive")
    return Archive(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), file)
