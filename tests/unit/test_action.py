"""The GitHub Action: it is what GitHub's schema says, and its inputs and outputs are those of its page."""

from pathlib import Path
from typing import Any

import yaml

from schema_checks import check_schema

ROOT = Path(__file__).parents[2]


def action() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    return found


def test_the_action_is_valid_by_the_published_schema() -> None:
    check_schema("vendor.github-actions", ROOT / "action.yml")


def test_the_workflow_and_the_pipeline_of_the_page_are_valid_by_their_schemas(tmp_path: Path) -> None:
    blocks = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8").split("```yaml\n")[1:]
    github, gitlab = (block.partition("```")[0] for block in blocks)
    for name, schema, text in (
        ("workflow.yml", "vendor.github-workflows", "on: push\n" + github),
        ("gitlab.yml", "vendor.gitlab-ci", gitlab),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        check_schema(schema, tmp_path / name)


def test_each_input_stands_on_the_page_and_is_used() -> None:
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    steps = str(action()["runs"]["steps"])
    for name in action()["inputs"]:
        assert f"| `{name}` |" in page
        assert f"inputs.{name}" in steps
