"""Station 8: scorers by name: built-in ones, plug-ins, and files with a trained model."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensorstream.config import nearest
from sensorstream.errors import SensorstreamError, UsageError
from sensorstream.sentiment.base import Scorer, ScorerFactory
from sensorstream.sentiment.checked_scorer import MAX_CHARS, CheckedScorer

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "sensorstream.scorers"
"""The entry-point group of plug-ins: each is a :data:`~sensorstream.sentiment.base.ScorerFactory`."""
DEFAULT: Final = "vader"
MODEL_SUFFIX: Final = ".sensormodel"
ONNX_PREFIX: Final = "onnx:"

_BUILT_IN: Final = {
    "vader": "sensorstream.sentiment.vader",
    "vader+clean": "sensorstream.sentiment.clean",
}
_SWITCH: Final = {"on": True, "off": False}


def open_scorer(
    name: str = DEFAULT, options: Mapping[str, str] | None = None, *, check_language: bool = True
) -> CheckedScorer:
    """The scorer of a name, with the checks of :class:`CheckedScorer`.

    ``name`` is one built in, a plug-in, the path of a model file, or ``onnx:`` and the folder of an exported model. Of
    the ``options`` two are for the checks: ``language`` (``on`` or ``off``; ``check_language`` is its default) and
    ``max_chars``; the others are the scorer's.
    Raises UsageError for an unknown name or option, and for a plug-in that can't be loaded.
    """
    rest = dict(options or {})
    switch = rest.pop("language", None)
    if switch is not None:
        if switch not in _SWITCH:
            raise UsageError(f"language={switch} is not known", hint="it is on or off")
        check_language = _SWITCH[switch]
    max_chars = _count(rest.pop("max_chars", str(MAX_CHARS)))
    return CheckedScorer(_open(name, rest), max_chars=max_chars, check_language=check_language)


def scorer_names() -> list[str]:
    """The names of all scorers that are installed, those built in first."""
    return [*_BUILT_IN, *sorted(set(_plug_ins()) - set(_BUILT_IN))]


def _open(name: str, options: Mapping[str, str]) -> Scorer:
    if name in _BUILT_IN:
        factory: ScorerFactory = import_module(_BUILT_IN[name]).make
        return factory(options)
    if name.startswith(ONNX_PREFIX):
        from sensorstream.sentiment.exported.scorer import open_onnx

        return open_onnx(name, options)
    if name.endswith(MODEL_SUFFIX):
        return _open_model(name, options)
    plug_in = _plug_ins().get(name)
    if plug_in is not None:
        return _open_plug_in(plug_in, options)
    if Path(name).is_file():
        return _open_model(name, options)
    if (Path(name) / "config.json").is_file():
        raise UsageError(f"there is no scorer {name!r}", hint=f"a model exported to ONNX is {ONNX_PREFIX}{name}")
    names = scorer_names()
    raise UsageError(f"there is no scorer {name!r}", hint=nearest(name, names) or f"there are: {', '.join(names)}")


def _open_model(name: str, options: Mapping[str, str]) -> Scorer:
    from sensorstream.sentiment.model import open_model

    return open_model(Path(name), options)


def _plug_ins() -> dict[str, "EntryPoint"]:
    """The installed plug-ins by their names. Raises UsageError for one that goes by the name of one built in."""
    from importlib.metadata import entry_points

    found = {point.name: point for point in entry_points(group=GROUP)}
    for taken in _BUILT_IN.keys() & found.keys():
        raise UsageError(
            f"the plug-in {found[taken].value} calls itself {taken!r}, which is a scorer built in",
            hint="uninstall it, or have it renamed: scores of two scorers with one name can't be told apart",
        )
    return found


def _open_plug_in(point: "EntryPoint", options: Mapping[str, str]) -> Scorer:
    try:
        factory: ScorerFactory = point.load()
        return factory(options)
    except SensorstreamError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"the scorer {point.name!r} ({point.value}) can't be opened: {type(error).__name__}: {error}",
            hint="it is a plug-in; ask its author",
        ) from error


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise UsageError(f"max_chars={text} is not a number of characters", hint="it is 1 or more")
    return count
