"""The profiles that ``cluster up --secure`` has written: ``--profile NAME`` finds them without a user's file.

A cluster's profile is the super user's; ``NAME-user`` is the lesser user's.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sensorstream.errors import ConfigError
from sensorstream.state_folder import state_folder

FILE_NAME: Final = "profiles.toml"


def names_of(cluster: str) -> Mapping[str, str]:
    """The profiles of a cluster, and the user of each."""
    return {cluster: "admin", f"{cluster}-user": "user"}


def local_profile(name: str) -> tuple[dict[str, Any], Path] | None:
    """The profile of this name that a local cluster has, and its file; None where there is none.

    Raises ConfigError for a file that can't be read.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,70}", name):
        return None
    for cluster in (name, name.removesuffix("-user")):
        path = state_folder() / "clusters" / cluster / FILE_NAME
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8")).get("profiles", {})
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not a file of profiles"
            raise ConfigError(f"{path} can't be read: {reason}", hint="run cluster up again") from error
        if name in tables:
            return tables[name], path
    return None
