"""Look for known vulnerabilities in what the program depends on: ``python tools/audit.py [--strict]``.

Asks with pip-audit about the installed versions of everything that ``sensorstream[all]`` needs: PyPI's advisories and,
where those have no answer, OSV's. Exit code 0: none is known, or nobody answered, which is said; with ``--strict``, as
before a release, no answer is exit code 3. Exit code 1: a vulnerability is known.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

SERVICES: Final = {"pypi": "PyPI", "osv": "OSV"}
IGNORED: Final[Mapping[str, str]] = {}
"""Vulnerabilities that do not touch this program, by their ids, and why."""
TIMEOUT_S: Final = 120.0
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Answer:
    """What a service has told: how many packages it knows, which it does not, and what is wrong with which."""

    known: int
    unknown: tuple[str, ...]
    found: tuple[str, ...]


def dependencies(package: str = "sensorstream", extras: Sequence[str] = ("all",)) -> dict[str, str]:
    """Name and installed version of everything that ``package`` needs with these extras, but for itself."""
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(package, extra) for extra in ("", *extras)]
    while waiting:
        name, extra = one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        try:
            installed = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # for another Python or another system
        if _plain(name) != _plain(package):
            found[_plain(name)] = installed.version
        for line in installed.requires or ():
            requirement, _, marker = line.partition(";")
            wanted = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", marker)
            if (wanted[1] if wanted else "") not in ("", extra):
                continue
            needed = _NAME.match(requirement)
            if needed is not None:
                given = re.search(r"\[([^]]*)\]", requirement)
                more = [each.strip() for each in given[1].split(",")] if given else []
                waiting += [(needed[0], each) for each in ("", *more)]
    return found


def read(report: str, ignored: Mapping[str, str] = IGNORED) -> Answer | None:
    """What pip-audit's report in JSON says; None where it is no report, as when it could not ask."""
    try:
        packages: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None
    known = [one for one in packages if "vulns" in one]
    return Answer(
        len(known),
        tuple(str(one["name"]) for one in packages if "vulns" not in one),
        tuple(
            f"{one['name']} {one['version']}: {vulnerability['id']}"
            + (f", mended in {', '.join(vulnerability['fix_versions'])}" if vulnerability.get("fix_versions") else "")
            for one in known
            for vulnerability in one["vulns"]
            if vulnerability["id"] not in ignored and not set(vulnerability.get("aliases", ())) & set(ignored)
        ),
    )


def ask(service: str, packages: Mapping[str, str]) -> Answer | str:
    """What a service knows of these packages; in words why it has not answered."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text("".join(f"{name}=={version}\n" for name, version in sorted(packages.items())))
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(wanted), "--no-deps", "--disable-pip"]
        command += ["--vulnerability-service", service, "--format", "json", "--progress-spinner", "off"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            return f"no answer within {TIMEOUT_S:.0f} s"
    answer = read(done.stdout)
    if answer is None:
        return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return answer if answer.known else f"it knows none of {len(packages)} packages"


def main(arguments: Sequence[str]) -> int:
    """Ask, tell, and return the exit code."""
    packages = dependencies()
    for service, name in SERVICES.items():
        answer = ask(service, packages)
        if isinstance(answer, str):
            print(f"{name} has not answered: {answer}")
            continue
        print(f"{name} was asked about {len(packages)} packages, and knows {answer.known}")
        if answer.unknown:
            print(f"nothing is known of: {', '.join(answer.unknown)}")
        for found in answer.found:
            print(f"vulnerable: {found}")
        return 1 if answer.found else 0
    print("no index has answered: nothing is known about vulnerabilities of the dependencies")
    return 3 if "--strict" in arguments else 0


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
