"""What code hosts and tools read of this project is what they take: workflows, forms, hooks."""

import re
import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

from schema_checks import check_schema

ROOT = Path(__file__).parents[2]
SCHEMAS = {
    ".github/workflows/ci.yml": "vendor.github-workflows",
    ".github/workflows/release.yml": "vendor.github-workflows",
    ".github/ISSUE_TEMPLATE/bug.yml": "vendor.github-issue-forms",
    ".github/ISSUE_TEMPLATE/feature.yml": "vendor.github-issue-forms",
    ".github/ISSUE_TEMPLATE/config.yml": "vendor.github-issue-config",
}


def test_each_file_has_a_schema() -> None:
    there = {str(path.relative_to(ROOT)) for path in (ROOT / ".github").rglob("*.yml")}
    assert there == set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_file_is_valid_by_its_schema(name: str) -> None:
    check_schema(SCHEMAS[name], ROOT / name)


def test_a_file_that_is_not_is_seen(tmp_path: Path) -> None:
    (tmp_path / "wrong.yml").write_text("on: push\n")
    with pytest.raises(AssertionError, match="jobs"):
        check_schema("vendor.github-workflows", tmp_path / "wrong.yml")


def test_the_hooks_are_valid_and_fetch_nothing() -> None:
    path = ROOT / ".pre-commit-config.yaml"
    command = [f"{sysconfig.get_path('scripts')}/pre-commit", "validate-config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    repositories = yaml.safe_load(path.read_text(encoding="utf-8"))["repos"]
    assert [one["repo"] for one in repositories] == ["local"]
    assert all(hook["entry"].startswith(".venv/bin/") for one in repositories for hook in one["hooks"])


def test_the_release_asks_for_a_token_where_it_publishes_alone() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    rights = {name: job.get("permissions") for name, job in workflow["jobs"].items()}
    assert rights == {"build": None, "publish": {"id-token": "write"}}


def test_a_bug_comes_with_what_doctor_says() -> None:
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text(encoding="utf-8"))
    (doctor,) = [field for field in form["body"] if field.get("id") == "doctor"]
    assert doctor["validations"]["required"] is True
    assert "sensorstream doctor" in doctor["attributes"]["label"]


def test_the_map_of_contributing_names_what_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = text.partition("## A map")[2].partition("\n**Layers.**")[0]
    named = set(re.findall(r"`((?:[\w.-]+/)+(?:[\w-]+\.\w+)?)`", rows))
    assert len(named) > 40
    roots = (ROOT / "src" / "sensorstream", ROOT)
    assert [one for one in sorted(named) if not any((root / one).exists() for root in roots)] == []
    for constant, file, other in re.findall(r"`(\w+)` in `([\w/]+\.py)`(?: and in `([\w/]+\.py)`)?", rows):
        for one in filter(None, (file, other)):
            assert constant in (ROOT / "src" / "sensorstream" / one).read_text(encoding="utf-8"), (constant, one)
