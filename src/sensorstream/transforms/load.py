"""Station 8: transforms by name: the built-in ones, and plug-ins by entry point."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final

from sensorstream.config import nearest, parse_pairs
from sensorstream.errors import SensorstreamError, UsageError
from sensorstream.transforms.base import Transform, TransformFactory
from sensorstream.transforms.chain import Chain, Guarded

GROUP: Final = "sensorstream.transforms"
"""The entry-point group of plug-ins."""

BUILT_IN: Final[Mapping[str, str]] = {
    "select": "sensorstream.transforms.select:Select",
    "rename": "sensorstream.transforms.rename:Rename",
    "filter": "sensorstream.transforms.filter:Filter",
    "round": "sensorstream.transforms.round:Round",
}
"""Name to ``module:factory``, as an entry point has it."""


def transform_names() -> list[str]:
    """The names of all transforms: built in and installed."""
    return sorted({*BUILT_IN, *(point.name for point in entry_points(group=GROUP))})


def open_transform(name: str, options: Mapping[str, str]) -> Transform:
    """The transform of this name, made of the user's options; a row that breaks it becomes Unusable.

    Raises UsageError for an unknown name, naming the nearest one; for an option that it does not know or
    that is missing; and for a plug-in that can't be loaded.
    """
    try:
        return Guarded(_factory(name)(options))
    except SensorstreamError:
        raise
    except (Exception, SystemExit) as error:  # whatever a plug-in raises is told in one line
        raise UsageError(f"transform {name} can't be made: {type(error).__name__}: {error}") from error


def open_chain(names: Sequence[str], settings: Sequence[str] = ()) -> Transform:
    """Several transforms, one after the other, as one.

    ``settings`` are the ``key=value`` texts of ``--set``. With one transform they are its options; with several, each
    names its transform, or its place counted from 1: ``filter.where=...``, ``2.where=...``. Raises UsageError.
    """
    if not names:
        raise UsageError("--set needs a --transform", hint="name the transform that it is for")
    pairs = parse_pairs(settings, "--set")
    if len(pairs) != len(settings):
        raise UsageError("--set gives the same option twice", hint="give each once")
    if len(names) == 1:
        return open_transform(names[0], pairs)
    options: list[dict[str, str]] = [{} for _ in names]
    for key, value in pairs.items():
        owner, dot, option = key.partition(".")
        place = int(owner) - 1 if owner.isascii() and owner.isdecimal() else -1
        if names.count(owner) == 1:
            place = names.index(owner)
        if not dot or not 0 <= place < len(names):
            example = f"{names[0]}.{key}" if names.count(names[0]) == 1 else f"1.{key}"
            raise UsageError(
                f"--set {key!r} does not say which transform it is for", hint=f"for example: --set {example}=..."
            )
        options[place][option] = value
    return Chain([open_transform(name, given) for name, given in zip(names, options, strict=True)])


def _factory(name: str) -> TransformFactory:
    # A name that is built in means the same on every machine, whatever is installed.
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        made: TransformFactory = getattr(import_module(module), attribute)
        return made
    found = entry_points(group=GROUP, name=name)
    if not found:
        known = transform_names()
        raise UsageError(
            f"transform {name!r} is not known", hint=nearest(name, known) or f"there are: {', '.join(known)}"
        )
    loaded: TransformFactory = next(iter(found)).load()
    return loaded
