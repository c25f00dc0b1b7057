"""Write a picture or page completely, or not at all."""

from pathlib import Path

from sensorstream import own_files
from sensorstream.errors import SinkError


def write_whole(path: Path, content: bytes) -> None:
    """Put ``content`` in place of what is at ``path``. Raises SinkError."""
    try:
        own_files.write_whole(path, content)
    except OSError as error:
        raise SinkError(f"{path} can't be written: {error.strerror}") from error
