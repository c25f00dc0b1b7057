"""Station 1: the content of a compressed file, decompressed while it is read, in bounded memory.

Which way a file is compressed is told by its ending. Several members of gzip, xz and zstd one after the other are one
file, as their own tools have it; a zip must hold one file.
"""

import bz2
import gzip
import importlib
import lzma
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any, BinaryIO, Final, cast

from sensorstream.errors import SourceError, UsageError

ENDINGS: Final = (".gz", ".bz2", ".xz", ".zst", ".zip")
"""The endings of compressed files, in lower case."""
_BROKEN: Final[tuple[type[Exception], ...]] = (
    OSError,
    EOFError,
    ValueError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    NotImplementedError,  # a way of packing, or a password, that zipfile does not know
    RuntimeError,
)


def is_compressed(path: str | PurePath) -> bool:
    """Whether a file is compressed, by its ending."""
    return PurePath(path).suffix.lower() in ENDINGS


def inner_name(path: str) -> str:
    """The name of what a file holds: without the ending of a compression."""
    return path[: -len(PurePath(path).suffix)] if is_compressed(path) else path


def decompressed(path: str | Path, name: str, file: BinaryIO) -> BinaryIO:
    """What an open file holds, decompressed; closing it closes ``file``. ``name`` is what errors call the file.

    Raises SourceError for one that is not what its ending says, UsageError where a package is missing.
    """
    try:
        opened = _OPEN[PurePath(path).suffix.lower()](name, file)
    except _BROKEN as error:
        raise _damaged(name, error) from error
    read = opened.read

    def read_some(size: int = -1) -> bytes:
        try:
            return cast("bytes", read(size))
        except Exception as error:
            if _is_broken(error):
                raise _damaged(name, error) from error
            raise

    return cast("BinaryIO", _Closing(read_some, opened, file))


class _Closing:
    """The decompressed side of a file: the library's reader, and the file behind it."""

    def __init__(self, read: Callable[[int], bytes], opened: Any, file: BinaryIO) -> None:
        self.read = read
        self._opened = opened
        self._file = file

    def close(self) -> None:
        """Close both."""
        self._opened.close()
        self._file.close()


def _zip(name: str, file: BinaryIO) -> Any:
    archive = zipfile.ZipFile(file)
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) != 1:
        raise SourceError(
            f"{name} holds {len(members)} files, one is expected", hint="unpack it, and name the files one by one"
        )
    return archive.open(members[0])


def _xz(_: str, file: BinaryIO) -> Any:
    return lzma.LZMAFile(file)


def _zst(name: str, file: BinaryIO) -> Any:
    zstd = zstd_module()
    if zstd is None:
        raise UsageError(
            f"{name} is compressed with zstd, which needs a package that is not installed",
            hint="pip install 'sensorstream[files]'",
        )
    return zstd.ZstdFile(file)


def zstd_module() -> Any:
    """The standard library's module, which came with Python 3.14, or the same for older ones."""
    for name in ("compression.zstd", "backports.zstd"):
        with suppress(ImportError):
            return importlib.import_module(name)
    return None


_OPEN: Final[dict[str, Callable[[str, BinaryIO], Any]]] = {
    ".gz": lambda _, file: gzip.GzipFile(fileobj=file),
    ".bz2": lambda _, file: bz2.BZ2File(file),
    ".xz": _xz,
    ".zst": _zst,
    ".zip": _zip,
}


def _is_broken(error: Exception) -> bool:
    # The package's own error is known only where the package is.
    return isinstance(error, _BROKEN) or type(error).__name__ == "ZstdError"


def _damaged(name: str, error: Exception) -> SourceError:
    text = str(error) or type(error).__name__
    return SourceError(
        f"{name} can't be decompressed: {text}", hint="check that the file is complete, and that its extension is right"
    )
