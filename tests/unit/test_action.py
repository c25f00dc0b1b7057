"""The GitHub Action: it is what GitHub's schema says, and its inputs and outputs are those of its page."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]


def action() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    return found


def test_the_action_is_valid_by_the_published_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-actions"]
    done = subprocess.run([*command, str(ROOT / "action.yml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_workflow_and_the_pipeline_of_the_page_are_valid_by_their_schemas(tmp_path: Path) -> None:
    blocks = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8").split("```yaml\n")[1:]
    github, gitlab = (block.partition("```")[0] for block in blocks)
    for name, schema, text in (
        ("workflow.yml", "vendor.github-workflows", "on: push\n" + github),
        ("gitlab.yml", "vendor.gitlab-ci", gitlab),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_input_stands_on_the_page_and_is_used() -> None:
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    steps = str(action()["runs"]["steps"])
    for name in action()["inputs"]:
        assert f"| `{name}` |" in page
        assert f"inputs.{name}" in steps
