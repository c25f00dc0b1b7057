"""The changes that the page may make with ``--allow-changes``: topics, and the offsets of groups."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, Final

from sensorstream import admin
from sensorstream.admin import group_changes
from sensorstream.config import Settings
from sensorstream.errors import UsageError
from sensorstream.events import Listener, ignore
from sensorstream.pipelines.start_at import parse
from sensorstream.records import check_topic_name

MOST_BYTES: Final = 16_384
"""The largest request for a change."""


class Changes:
    """Carries out changes. Each raises what its ``admin`` function raises, and UsageError."""

    def __init__(self, settings: Settings, listener: Listener = ignore) -> None:
        self._settings = settings
        self._listener = listener

    def named(self, name: str) -> Callable[[Mapping[str, Any]], dict[str, Any]] | None:
        """The change of this name; None: there is none."""
        return {
            "create-topic": self.create_topic,
            "delete-topic": self.delete_topic,
            "reset-group": self.reset_group,
        }.get(name)

    def create_topic(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """``name``, ``partitions``, ``replication_factor``: a topic that is not there yet."""
        topic = replace(
            self._settings.topic(check_topic_name(_text(asked, "name"))),
            partitions=_whole(asked, "partitions", 10_000),
            replication_factor=_whole(asked, "replication_factor", 100),
        )
        made = admin.create_topics(self._settings, [topic], listener=self._listener)
        return asdict(made.topics[0])

    def delete_topic(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """``name``, and the same once more as ``confirm``, typed by hand: the topic goes with all its rows."""
        name = check_topic_name(_text(asked, "name"))
        if asked.get("confirm") != name:
            raise UsageError(f"deleting {name} is not confirmed", hint="type the topic's name")
        return asdict(admin.delete_topics(self._settings, [name], listener=self._listener))

    def reset_group(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """``name``, ``to`` (as ``groups reset --to``) and ``execute``: without it nothing is done but told."""
        group, to = _text(asked, "name"), _text(asked, "to")
        plan = group_changes.plan_reset(self._settings, group, parse(to), listener=self._listener)
        if asked.get("execute") is True:
            plan = group_changes.reset(self._settings, plan, listener=self._listener)
        return asdict(plan)


def _text(asked: Mapping[str, Any], key: str) -> str:
    value = asked.get(key)
    if not isinstance(value, str) or not value:
        raise UsageError(f"{key} is missing", hint=f"send {key} as a text")
    return value


def _whole(asked: Mapping[str, Any], key: str, most: int) -> int:
    value = asked.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise UsageError(f"{key} is no whole number from 1 to {most}", hint=f"send {key} as a number")
    return value
