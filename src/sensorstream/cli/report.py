"""``--report``: whether a page can be written there, asked before anything starts."""

from importlib.util import find_spec
from pathlib import Path


def check_report(path: Path | None) -> None:
    """Raises UsageError for a page that could not be written after the work is done; None is no page."""
    from sensorstream.errors import UsageError

    if path is None:
        return
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--report {path}: it is a page of HTML", hint="name it .html")
    if not path.parent.is_dir():
        raise UsageError(f"--report {path}: there is no folder {path.parent}")
    if find_spec("matplotlib") is None:
        raise UsageError("--report needs matplotlib, which is not installed", hint="pip install 'sensorstream[plot]'")
