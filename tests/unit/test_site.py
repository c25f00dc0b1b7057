"""The site: each page is in its navigation, and each entry is a page. ``make docs`` builds it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def entries(nav: list[Any]) -> Iterator[str]:
    for entry in nav:
        for below in entry.values() if isinstance(entry, dict) else [entry]:
            if isinstance(below, list):
                yield from entries(below)
            else:
                yield below


def navigation() -> list[str]:
    """The pages in the navigation, but for those of the commands, which are found when the site is built."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    nav: list[Any] = yaml.safe_load("nav:" + text.partition("\nnav:")[2])["nav"]
    return list(entries(nav))


def test_each_page_is_in_the_navigation_once() -> None:
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md") if path.parent.name != "reference"}
    listed = [page for page in navigation() if not page.startswith(("beside/", "reference/"))]
    assert pages - set(listed) == set(), "add it to the navigation in mkdocs.yml"
    assert set(listed) - pages == set(), "mkdocs.yml names what is not there"
    assert len(listed) == len(set(listed))


def test_what_lies_beside_the_docs_is_there() -> None:
    beside = [page.removeprefix("beside/") for page in navigation() if page.startswith("beside/")]
    assert "README.md" in beside
    assert [page for page in beside if not (ROOT / page).is_file()] == []
