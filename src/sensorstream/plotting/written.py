"""A picture or page is written as a whole, or not at all."""

import os
from pathlib import Path

from sensorstream.errors import SinkError


def write_whole(path: Path, content: bytes) -> None:
    """Put ``content`` in place of what is at ``path``. Raises SinkError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        raise SinkError(f"{path} can't be written: {error.strerror}") from error
    finally:
        beside.unlink(missing_ok=True)
