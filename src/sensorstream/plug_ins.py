"""Plug-ins of other packages: found by name in an entry-point group, loaded when they are used.

Looking costs some milliseconds, so nobody looks who needs no plug-in.
"""

from functools import cache
from importlib.metadata import entry_points
from typing import Any, Final

from sensorstream.errors import UsageError

SOURCES: Final = "sensorstream.sources"
"""Readers of file formats, by the format's name; see :mod:`sensorstream.sources.plug_in`."""
SINKS: Final = "sensorstream.sinks"
"""Writers of file formats, by the format's name; see :mod:`sensorstream.sinks.plug_in`."""


@cache
def names(group: str) -> tuple[str, ...]:
    """The names of the installed plug-ins of a group, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=group)}))


def load(group: str, name: str) -> Any:
    """What the plug-in of this name is. Raises UsageError where it is not installed or can't be imported."""
    found = next(iter(entry_points(group=group, name=name)), None)
    if found is None:
        raise UsageError(f"plug-in {name!r} of {group} is not installed", hint="install the package that it comes with")
    try:
        return found.load()
    except (Exception, SystemExit) as error:  # whatever a plug-in raises is told in one line
        raise UsageError(f"plug-in {name} can't be loaded: {type(error).__name__}: {error}") from error
