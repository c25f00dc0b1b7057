"""The table of ``sensorstream.toml`` that replays a file."""

import json
import re
from pathlib import Path
from typing import Any

from sensorstream.description import KEYS_OF, Description
from sensorstream.inspection.times import TimeFound
from sensorstream.sources.compressed import inner_name


def topic_name(path: str) -> str:
    """A topic's name out of a file's."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(inner_name(path)).stem).strip("._-")
    return (name or "SOURCE")[:200].upper()


def toml_table(topic: str, path: str, form: Description, time: TimeFound | None, key: str | None) -> str:
    """The table of a topic that is fed by this file; ``time`` and ``key`` None: left out.

    An order of day and month that no row tells is only a comment: a replay asks for it then, rather than go by a guess.
    """
    name = topic if re.fullmatch(r"[A-Za-z0-9_-]+", topic) else json.dumps(topic)
    lines = [f"[topics.{name}]", f"source = {_toml(path)}"]
    for field, value in form.said.items():
        lines.append(f"{KEYS_OF.get(field, field)} = {_toml(list(value) if isinstance(value, tuple) else value)}")
    if time is not None:
        lines.append(f"time_column = {_toml(time.column)}")
        if time.ambiguous:
            lines.append('# time_format = "dmy"  # or "mdy": no row tells')
        elif time.format is not None:
            lines.append(f"time_format = {_toml(time.format)}")
    if key is not None:
        lines.append(f"key = {_toml(key)}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    # A text, a number, true, false and a list of them are written the same in JSON and in TOML; but TOML knows no
    # escapes for half of a surrogate pair, which a path may have.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
