"""The documentation holds: its commands parse, most of its blocks run on real brokers, its links lead somewhere.

A shell block is run line by line as it stands. A line that is meant to fail says so in its comment, ``# exit code 1``;
a block that can't run has a comment above it, ``<!-- no-run: reason -->``, and is still parsed.
"""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.exceptions import Exit, TyperException

import warm
from command_lines import commands, parse, program
from running import cli
from sensorstream import admin
from sensorstream.cluster import LocalCluster
from sensorstream.config import Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "lab").glob("*.md")])
LINKING = [*PAGES, *sorted((ROOT / "docs" / "reference").glob("*.md"))]
FENCE = re.compile(
    r"^(?:<!-- no-run: (?P<reason>[^\n]+) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
INLINE = re.compile(r"`(sensorstream [^`\n]+)`")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
EXIT_CODE = re.compile(r"#.*\bexit code (\d+)")
WITHIN_S = 90


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    kind: str
    text: str
    skipped: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def lines(self) -> list[str]:
        """The commands, each whole: a line that ends with a backslash goes on."""
        text = self.text
        if self.kind == "console":
            text = "\n".join(line[2:] for line in text.splitlines() if line.startswith("$ "))
        joined = re.sub(r"\\\n\s*", "", text)
        return [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text[: found.start("text")].count("\n"), found["kind"], found["text"], found["reason"])
        for found in FENCE.finditer(text)
    ]


SHELL = [block for page in PAGES for block in blocks(page) if block.kind in ("sh", "console")]
NAMED = [(page, found) for page in PAGES for found in sorted(set(INLINE.findall(page.read_text(encoding="utf-8"))))]
RUNNABLE = [page for page in PAGES if any(block.kind == "sh" and not block.skipped for block in blocks(page))]


def test_there_is_something_to_test() -> None:
    assert len(RUNNABLE) >= 7
    assert sum(len(block.lines()) for block in SHELL) >= 60


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_every_command_parses(block: Block) -> None:
    for line in block.lines():
        for arguments in commands(line):
            try:
                parse(arguments)
            except Exit:
                continue  # --help and --version end here
            except TyperException as error:
                pytest.fail(f"{block}: {line}\n{error.format_message()}")


@pytest.mark.parametrize(("page", "text"), NAMED, ids=lambda value: getattr(value, "name", value))
def test_commands_named_in_the_text_exist(page: Path, text: str) -> None:
    """Inline they may hold placeholders: the command's name and the names of its flags are looked at."""
    command: Any = program()
    words = text.split()[1:]
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    missing = bool(words) and hasattr(command, "commands") and re.fullmatch("[a-z]+", words[0])
    assert not missing, f"{page.name}: no such command: {text}"
    known = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    used = set(re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", " ".join(words)))
    assert used <= known | {"--help"}, f"{page.name}: {text}: {used - known}"


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        assert other.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(other), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made of them: lower case, hyphens for blanks, signs dropped."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = [page for page in PAGES if page.is_relative_to(ROOT / "docs")]
    missing = [page.name for page in pages if f"({page.relative_to(ROOT / 'docs')})" not in index]
    assert missing in ([], ["index.md"])


def test_the_picture_is_there_and_asks_nobody() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+\.svg)\)", readme)
    assert pictures
    for picture in pictures:
        text = (ROOT / picture).read_text(encoding="utf-8")
        assert "verdict" in text
        assert not re.search(r"https?://(?!www\.w3\.org/)", text), "it loads something"


LABS = [page for page in RUNNABLE if page.parent.name == "lab"]


PROGRAM = """
import os, sys
from sensorstream.cli.app import main
from sensorstream.cluster import LocalCluster
from sensorstream.errors import SensorstreamError
arguments = sys.argv[1:]
if arguments[:2] == ["cluster", "up"] and "--ports" not in arguments:
    arguments += ["--ports", "auto"]
elif arguments[:1] != ["cluster"] and "SENSORSTREAM_BOOTSTRAP" not in os.environ:
    try:
        os.environ["SENSORSTREAM_BOOTSTRAP"] = ",".join(LocalCluster().bootstrap)
    except SensorstreamError:
        pass
main(arguments)
"""


class Reader:
    """Somebody who types the blocks of one page, in a folder of their own.

    ``sensorstream`` is a script on their PATH: this program, but ``cluster up`` takes free ports, since the usual ones
    may be taken, and the other commands find that cluster as they would have found it on the usual ports.
    """

    def __init__(self, folder: Path, state: Path, bootstrap: tuple[str, ...] | None) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        programs = folder / "bin"
        programs.mkdir()
        (folder / "program.py").write_text(PROGRAM, encoding="utf-8")
        warm.write_program(programs / "sensorstream", folder / "program.py")
        (programs / "python3").symlink_to(sys.executable)
        self._environment = {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "SENSORSTREAM_STATE_DIR": str(state),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }
        if bootstrap:
            self._environment["SENSORSTREAM_BOOTSTRAP"] = ",".join(bootstrap)

    def type(self, block: Block) -> None:
        """Run a block's lines in one shell, each with the exit code that it says."""
        script = ["set -o pipefail"]
        for line in block.lines():
            said = EXIT_CODE.search(line)
            wanted = said[1] if said else "0"
            script += [line, f"code=$?; if [ $code != {wanted} ]; then echo FAILED {shlex.quote(line)}; exit 99; fi"]
        done = subprocess.run(
            ["bash", "-c", "\n".join(script)],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, f"{block}\n{done.stderr}"

    def type_all(self, page: Path) -> None:
        """Run the blocks of a page in order."""
        for block in blocks(page):
            if block.kind == "sh" and not block.skipped:
                self.type(block)


@pytest.mark.broker
@pytest.mark.long
def test_the_readme_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts a cluster of its own, kills a broker of it, and takes it down."""
    state = tmp_path / "state"
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(state))
    reader = Reader(tmp_path, state, None)
    try:
        reader.type_all(ROOT / "README.md")
        assert cli("cluster", "status").returncode == 1, "the last block takes it down"
    finally:
        LocalCluster().down(delete_data=True)


@pytest.mark.broker
@pytest.mark.campaign
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", LABS, ids=lambda page: page.name)
def test_the_labs_do_what_they_say(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each starts a cluster of its own, breaks it and takes it down."""
    state = tmp_path / "state"
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(state))
    try:
        Reader(tmp_path, state, None).type_all(page)
        assert cli("cluster", "status").returncode == 1, "the last block takes it down"
    finally:
        LocalCluster().down(delete_data=True)


@pytest.mark.broker
@pytest.mark.parametrize("page", [page for page in RUNNABLE if page.parent.name == "docs"], ids=lambda page: page.name)
def test_the_pages_do_what_they_say(page: Path, tmp_path: Path, cluster: LocalCluster) -> None:
    settings = Settings(bootstrap=cluster.bootstrap)
    before = {topic.name for topic in admin.list_topics(settings).topics}
    assert not before & {"AIR", "EARTH", "WATER"}, "other tests use names of their own"
    try:
        Reader(tmp_path, tmp_path / "state", cluster.bootstrap).type_all(page)
    finally:
        made = [topic.name for topic in admin.list_topics(settings).topics if topic.name not in before]
        if made:
            admin.delete_topics(settings, made)
