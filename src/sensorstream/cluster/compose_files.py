"""Station 5 in containers: which compose file is meant, and where the included ones are."""

from pathlib import Path
from typing import Final

from sensorstream.errors import UsageError

DEFAULT_FILE: Final = "kraft"


def compose_folder() -> Path:
    """Where the compose files are: inside the installed package, or at the root of a checkout."""
    installed = Path(__file__).parents[1] / "_compose"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "compose"


def compose_names() -> tuple[str, ...]:
    """The names of the compose files that come with the program."""
    return tuple(sorted(path.stem for path in compose_folder().glob("*.yml")))


def compose_file(named: str | None) -> Path:
    """The file that ``named`` means: one that comes with the program by its name, else a path; None is the default.

    Raises UsageError where there is no such file.
    """
    name = named or DEFAULT_FILE
    if name in compose_names():
        return compose_folder() / f"{name}.yml"
    path = Path(name).expanduser().resolve()
    if not path.is_file():
        raise UsageError(
            f"there is no compose file {name}", hint=f"give {', '.join(compose_names())}, or the path of a file"
        )
    return path
