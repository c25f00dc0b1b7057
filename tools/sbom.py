"""Write the bill of materials that the wheel carries (PEP 770): ``python -m tools.sbom [--check]``.

It names the code of others that is in the wheel, with checksums, and the packages that ``pyproject.toml`` asks for,
with their ranges: an install decides on the versions. CycloneDX 1.6, without a date, so that it changes only with its
content. With ``--check`` nothing is written; the exit code is 1 where the file is not as it should be.
"""

import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[1]
FILE: Final = Path("sbom/sensorstream.cdx.json")
VENDORED: Final = Path("src/sensorstream/monitor/web/static/vendor")
STALE: Final = "run make sbom"


def bill() -> dict[str, Any]:
    """The bill of materials of the package as it is in this checkout."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    init = (ROOT / "src/sensorstream/__init__.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "([^"]+)"$', init, re.MULTILINE)
    if version is None:
        raise SystemExit("sensorstream/__init__.py has no version")
    reference = f"pkg:pypi/sensorstream@{version[1]}"
    within = _vendored()
    wanted = _wanted(project)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": reference,
                "name": project["name"],
                "version": version[1],
                "description": project["description"],
                "licenses": [{"license": {"id": project["license"]}}],
                "purl": reference,
                "components": within,
            }
        },
        "components": wanted,
        "dependencies": [
            {"ref": reference, "dependsOn": [one["bom-ref"] for one in wanted]},
            *({"ref": one["bom-ref"]} for one in wanted),
        ],
    }


def _vendored() -> list[dict[str, Any]]:
    """The code of others in the wheel, a component for each library; the version is that of its files' names."""
    libraries: dict[tuple[str, str], list[Path]] = {}
    for path in sorted((ROOT / VENDORED).iterdir()):
        named = re.fullmatch(r"([A-Za-z]+)-(\d+(?:\.\d+)+)\.(?:iife\.)?min\.(?:js|css)", path.name)
        if named is not None:
            libraries.setdefault((named[1], named[2]), []).append(path)
        elif not path.name.endswith("-LICENSE.txt"):
            raise SystemExit(f"{path.name}: whose is it, and which version? See {Path(__file__).name}")
    return [
        {
            "type": "library",
            "bom-ref": f"pkg:npm/{name.lower()}@{version}",
            "name": name,
            "version": version,
            "licenses": [{"license": {"id": "MIT"}}],
            "purl": f"pkg:npm/{name.lower()}@{version}",
            "components": [
                {
                    "type": "file",
                    "name": str(path.relative_to(ROOT / "src")),
                    "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}],
                }
                for path in paths
            ],
        }
        for (name, version), paths in libraries.items()
    ]


def _wanted(project: dict[str, Any]) -> list[dict[str, Any]]:
    """The packages that are asked for: always, or with an extra."""
    lines = [(line, "") for line in project["dependencies"]]
    lines += [(line, extra) for extra, more in project["optional-dependencies"].items() for line in more]
    found: dict[str, list[tuple[str, str]]] = {}
    for line, extra in lines:
        name = canonicalize_name(Requirement(line).name)
        if name != project["name"]:  # the extra "all" names the others
            found.setdefault(name, []).append((line, extra))
    return [
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name}",
            "name": name,
            "scope": "required" if any(not extra for _, extra in asked) else "optional",
            "purl": f"pkg:pypi/{name}",
            "properties": [
                {"name": f"sensorstream:{'requires' if not extra else f'extra:{extra}'}", "value": line}
                for line, extra in asked
            ],
        }
        for name, asked in sorted(found.items())
    ]


def text() -> str:
    """The file's content."""
    return json.dumps(bill(), indent=2, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the file, or check it, and return the exit code."""
    path = ROOT / FILE
    current = path.is_file() and path.read_text(encoding="utf-8") == text()
    if "--check" in arguments:
        if not current:
            print(f"{FILE}: not what the package holds and asks for; {STALE}")
        return 0 if current else 1
    if not current:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text(), encoding="utf-8")
        print(FILE)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
