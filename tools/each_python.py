"""Run the unit tests, which need no broker, on each supported Python: ``python -m tools.each_python [VERSION...]``.

Each version that is found gets an environment of its own in ``.venvs/``: the Python that runs this, ``python3.X`` on
the PATH, or one of pyenv's. What is not found is said, and is a failure (exit code 3) with ``--strict`` only. Exit code
1: a version failed. ``--list`` says what is found and runs nothing. It needs the standard library alone.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
ENVIRONMENTS: Final = ROOT / ".venvs"
TESTS: Final = ("tests/unit", "-q", "-p", "no:cacheprovider")


def supported() -> tuple[str, ...]:
    """The versions that pyproject.toml names."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return tuple(re.findall(r'"Programming Language :: Python :: (3\.\d+)"', text))


def find(version: str) -> str | None:
    """The interpreter of a version, or None."""
    if sys.version_info[:2] == tuple(int(part) for part in version.split(".")):
        return sys.executable
    name = f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [shutil.which(name), *sorted(map(str, pyenv.glob(f"versions/{version}.*/bin/{name}")), reverse=True)]
    return next((one for one in candidates if one is not None and _starts(one)), None)


def _starts(python: str) -> bool:
    """Whether it is one: pyenv's stand-in for a version that is not chosen only says so."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def test(version: str, python: str) -> bool:
    """Make the environment of a version, or bring it up to date, and run the tests in it; whether they pass."""
    folder = ENVIRONMENTS / version
    inside = str(folder / "bin" / "python")
    steps: tuple[tuple[str, ...], ...] = (
        (python, "-m", "venv", str(folder)),
        (inside, "-m", "pip", "install", "--quiet", "--upgrade", "pip>=25.1"),
        (inside, "-m", "pip", "install", "--quiet", "--editable", ".[all]", "--group", "dev"),
        (inside, "-m", "pytest", *TESTS),
    )
    return all(subprocess.run(step, cwd=ROOT, check=False).returncode == 0 for step in steps)


def outcome(
    versions: Sequence[str], interpreters: Mapping[str, str], run: Callable[[str, str], bool], *, strict: bool
) -> int:
    """Run each version that has an interpreter, say how each ended, and return the exit code."""
    ended = {version: run(version, interpreters[version]) for version in versions if version in interpreters}
    for version in versions:
        print(f"{version}: {'passed' if ended[version] else 'FAILED'}" if version in ended else f"{version}: not found")
    if not all(ended.values()):
        return 1
    return 3 if not ended or (strict and len(ended) < len(versions)) else 0


def main(arguments: Sequence[str]) -> int:
    """Run the versions that are asked for, by default all that are supported, and return the exit code."""
    asked = [one for one in arguments if not one.startswith("--")] or list(supported())
    unknown = [one for one in asked if one not in supported()]
    if unknown:
        print(f"not supported: {', '.join(unknown)}; pyproject.toml names {', '.join(supported())}")
        return 2
    interpreters = {version: found for version in asked if (found := find(version)) is not None}
    if "--list" in arguments:
        for version in asked:
            print(f"{version}: {interpreters.get(version, 'not found')}")
        return 0
    return outcome(asked, interpreters, test, strict="--strict" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
