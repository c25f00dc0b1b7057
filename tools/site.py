"""What ``mkdocs`` needs so that the pages of ``docs/``, written to be read where the code is, are a site as they are.

A page may link to what lies beside ``docs/``: each file or folder that is linked to becomes a page of the site, under
``beside/``. The pages of the commands are put into the navigation. A built page that would load something from
elsewhere is a warning, which fails the build.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = "docs"
BESIDE: Final = "beside"
LINK: Final = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\]\()([^)\s]+)(\))")
FENCE: Final = re.compile(r"^(```+).*?^\1$", re.DOTALL | re.MULTILINE)
ROW: Final = re.compile(r"^\|.*\|$", re.MULTILINE)
CODE: Final = re.compile(r"(?<!`)`[^`\n]+`(?!`)")
LOADED: Final = re.compile(
    r"<(?:script|img|iframe|source|link(?![^>]*rel=\"?(?:canonical|next|prev)))\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^>]*>"
)
WRITTEN_IN: Final = {".yml": "yaml", ".yaml": "yaml", ".json": "json", ".py": "python", ".sh": "bash", ".toml": "toml"}

log = get_plugin_logger("site")


def on_config(config: Any) -> Any:
    """Put each page of the commands into the navigation, by the command's name."""
    pages = sorted(path for path in (ROOT / DOCS / "reference").glob("*.md") if path.stem != "index")
    for section in _sections(config.nav, "Commands"):
        section["Commands"] = [{path.stem: f"reference/{path.name}"} for path in pages]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add a page for each file and folder beside ``docs/`` that a page links to, and for those that these link to."""
    waiting = [DOCS + "/" + file.src_uri for file in files.documentation_pages()]
    done: set[str] = set()
    while waiting:
        page = waiting.pop()
        for target in _targets(page):
            if target in done or not _is_beside(target):
                continue
            done.add(target)
            path = ROOT / target
            if path.suffix == ".md":
                waiting.append(target)
            files.append(File.generated(config, _uri(target), content=_text(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to what lies beside ``docs/`` to its page, and read a table's code as the code host does."""
    here = page.file.src_uri
    source = here.removeprefix(BESIDE + "/") if here.startswith(BESIDE + "/") else f"{DOCS}/{here}"

    def lead(found: re.Match[str]) -> str:
        name, sign, anchor = found[2].partition("#")
        if not name or "://" in name or name.startswith("mailto:"):
            return found[0]
        target = _uri(_resolved(source, name))
        return found[1] + posixpath.relpath(target, posixpath.dirname(here) or ".") + sign + anchor + found[3]

    def cells(found: re.Match[str]) -> str:
        return CODE.sub(lambda code: code[0].replace("\\|", "|"), found[0])

    return _outside_fences(markdown, lambda text: LINK.sub(lead, ROW.sub(cells, text)))


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Warn of what a reader's browser would load from elsewhere."""
    for found in LOADED.findall(output):
        log.warning("%s would load something from elsewhere: %s", page.file.src_uri, found)
    return output


def _sections(entries: Any, name: str) -> Iterator[dict[str, Any]]:
    for entry in entries:
        if isinstance(entry, dict):
            for title, below in entry.items():
                if title == name:
                    yield entry
                elif isinstance(below, list):
                    yield from _sections(below, name)


def _targets(page: str) -> Iterator[str]:
    """What a page links to, by paths from the root of the project."""
    path = ROOT / page
    if not path.is_file():
        return
    for _, target, _ in LINK.findall(FENCE.sub("", path.read_text(encoding="utf-8"))):
        name = target.partition("#")[0]
        if name and "://" not in name and not name.startswith("mailto:"):
            yield _resolved(page, name)


def _resolved(page: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))


def _is_beside(target: str) -> bool:
    return not target.startswith((DOCS + "/", "..")) and (ROOT / target).exists()


def _uri(target: str) -> str:
    """Where a file of the project is on the site, as a path of ``docs/``."""
    if target.startswith(DOCS + "/"):
        return target.removeprefix(DOCS + "/")
    if not _is_beside(target):
        return target  # mkdocs says that it leads nowhere
    target = re.sub(r"(^|/)\.", r"\1", target)  # mkdocs leaves out what begins with a dot
    return f"{BESIDE}/{target}" if target.endswith(".md") else f"{BESIDE}/{target}.md"


def _text(path: Path) -> str:
    """A page as it is; of another file, or of a folder's files, a page that shows them."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    shown = (
        sorted(one for one in path.rglob("*") if one.is_file() and "__pycache__" not in one.parts)
        if path.is_dir()
        else [path]
    )
    lines = ["---", "search:", "  exclude: true", "---", "", f"# {path.relative_to(ROOT)}", ""]
    for one in shown:
        if one is not path:
            lines += [f"## {one.relative_to(path)}", ""]
        lines += ["`````" + WRITTEN_IN.get(one.suffix, "text"), one.read_text(encoding="utf-8").rstrip(), "`````", ""]
    return "\n".join(lines)


def _outside_fences(markdown: str, change: Any) -> str:
    parts, end = [], 0
    for found in FENCE.finditer(markdown):
        parts += [change(markdown[end : found.start()]), found[0]]
        end = found.end()
    return "".join([*parts, change(markdown[end:])])
