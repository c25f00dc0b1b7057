"""The analyser window on a display of its own, driven by keys and clicks, and its terminal view.

A machine without Xvfb has no display to test on: it is a failure where CI is set, and is said elsewhere.
"""

import contextlib
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import PROGRAM, cli, ok, started, until
from sensorstream import admin
from sensorstream.cli.app import run
from sensorstream.config import Settings, TopicSettings

TESTS = Path(__file__).parents[1]
POSTS = """id,page,text
1,a,"I love this, it is great!"
2,a,"This is horrible, I hate it."
3,b,The bus leaves at nine.
4,b,
"""


class Display:
    """An X server in memory; ``colours`` are those on its screen."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._screen = folder / "Xvfb_screen0"

    def colours(self) -> set[bytes]:
        """The colours on the screen, from the XWD file that Xvfb keeps (X11/XWDFile.h)."""
        data = self._screen.read_bytes()
        header = struct.unpack(">25I", data[:100])
        start = header[0] + 12 * header[19]  # the header with the window's name, then the colour map
        pixels = data[start : start + header[12] * header[5]]
        return {pixels[at : at + 4] for at in range(0, len(pixels), 4 * 7)}


@pytest.fixture(scope="module")
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Display]:
    folder = tmp_path_factory.mktemp("screen")
    if shutil.which("Xvfb") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "Xvfb is not installed (Debian and Ubuntu: apt install xvfb): the window has not been tested"
        )
    reads, writes = os.pipe()
    command = [
        "Xvfb",
        "-displayfd",
        str(writes),
        "-screen",
        "0",
        "1200x800x24",
        "-nolisten",
        "tcp",
        "-fbdir",
        str(folder),
    ]
    log = folder / "log"
    with log.open("w") as file:
        server = subprocess.Popen(command, pass_fds=[writes], stderr=file)
    os.close(writes)
    with os.fdopen(reads) as pipe:
        number = pipe.readline().strip()
    assert number, log.read_text()
    try:
        yield Display(f":{number}", folder)
    finally:
        server.terminate()
        server.wait(20)


def case(display: Display, *arguments: str) -> None:
    """Run a case of tests/window_cases.py."""
    done = subprocess.run(
        [sys.executable, "-m", "window_cases", *arguments],
        cwd=TESTS,
        env={**os.environ, "DISPLAY": display.name},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_what_is_typed_is_scored_word_by_word(display: Display) -> None:
    case(display, "typing")


def test_the_feed_is_shown_filtered_paused_and_exported(display: Display, tmp_path: Path) -> None:
    case(display, "feed", str(tmp_path))


def test_without_a_broker_it_scores_and_looks_on(display: Display) -> None:
    case(display, "no_broker")


def test_what_fails_inside_is_not_hidden(display: Display) -> None:
    case(display, "broken")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_the_whole_program_shows_a_window_and_closes_on_a_signal(
    display: Display, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setenv("DISPLAY", display.name)
    assert len(display.colours()) == 1, "the screen is blank"
    with started("sentiment", "app", "--no-feed", "I love it, I hate it") as app:
        until(lambda: len(display.colours()) > 20, "a window with texts in colours")
        app.signal(number)
        assert app.end(30) == 0, app.told
    assert app.told == ""
    until(lambda: len(display.colours()) == 1, "the window is gone")


def test_where_there_is_no_display_it_names_the_terminal_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    if sys.platform != "linux":
        pytest.skip("elsewhere a window needs no DISPLAY")
    done = cli("sentiment", "app")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "display" in line
    assert "sentiment watch" in line


def test_where_there_is_no_tk_it_names_the_terminal_commands() -> None:
    code = "import sys; sys.modules['tkinter'] = None; from sensorstream.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "sentiment", "app", "--no-feed"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "no Tk" in line
    assert "sentiment watch" in line


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--scorer", "vadr"], "no scorer 'vadr'"),
        (["-o", "middle"], "no offset"),
        (["--bucket", "soon"], "no length of time"),
        (["--bucket", "10ms"], "out of range"),
        (["-t", "no topic"], "can't be a topic's name"),
    ],
)
def test_options_are_checked_before_a_window_opens(
    wrong: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    assert run(["sentiment", "app", *wrong]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_neither_help_nor_other_commands_load_tk() -> None:
    code = "import sys; from sensorstream.cli.app import run; run(['sentiment', 'app', '--help'])"
    code += "; print('tkinter' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "False"


@pytest.fixture(scope="module")
def scored(broker: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[str], str]]:
    """A topic of scored posts on real brokers: the options that lead there, and its name."""
    folder = tmp_path_factory.mktemp("posts")
    (folder / "posts.csv").write_text(POSTS, encoding="utf-8")
    settings = Settings(bootstrap=broker)
    name = f"app-{os.getpid()}"
    b = ["--bootstrap", ",".join(broker)]
    admin.create_topics(settings, [TopicSettings(name)])
    ok("produce", "--source", f"{name}={folder}/posts.csv", "--delay", "0", *b, cwd=folder)
    ok("sentiment", "stream", "--from", name, "--to", f"{name}-scored", "--create", "-e", "-g", name, *b)
    yield b, f"{name}-scored"
    admin.delete_topics(settings, [name, f"{name}-scored", f"{name}-scored_DEAD"])


@pytest.mark.broker
def test_the_window_shows_what_real_brokers_have(display: Display, scored: tuple[list[str], str]) -> None:
    (_, bootstrap), topic = scored
    case(display, "real_broker", bootstrap, topic)


@pytest.mark.broker
def test_watch_prints_a_line_for_each_post_where_stdout_is_no_terminal(scored: tuple[list[str], str]) -> None:
    b, topic = scored
    done = cli("sentiment", "watch", "-t", topic, "-e", *b)
    assert done.returncode == 0, done.stderr
    lines = sorted(line.split("  ", 1)[1] for line in done.stdout.splitlines())
    assert [" ".join(line.split()) for line in lines] == [
        "a negative -0.8020 This is horrible, I hate it.",
        "a positive +0.8622 I love this, it is great!",
        "b empty -",
        "b neutral +0.0000 The bus leaves at nine.",
    ]
    assert f"{topic}: 4 posts (1 positive, 1 neutral, 1 negative, 1 unscored)" in done.stderr
    alone = cli(
        "sentiment", "watch", "-t", topic, "-o", "beginning", "-c", "4", "--page", "a", "--label", "positive", *b
    )
    assert [line.split("  ")[-1] for line in alone.stdout.splitlines()] == ["I love this, it is great!"]
    result = ok("sentiment", "watch", "-t", topic, "-o", "beginning", "--timeout", "0.5", *b)
    assert (result["posts"], result["ended"], result["counts"]["positive"]) == (4, "timeout", 1)
    assert [page["page"] for page in result["pages"]] == ["a", "b"]


@pytest.mark.broker
def test_watch_in_a_terminal_shows_the_whole_picture_and_ends_with_0_on_ctrl_c(
    scored: tuple[list[str], str],
) -> None:
    import pty

    b, topic = scored
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "sentiment", "watch", "-t", topic, "-o", "beginning", *b],
        stdin=follower,
        stdout=follower,
        stderr=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
        text=True,
    )
    os.close(follower)
    seen = b""

    def screen() -> bytes:
        nonlocal seen
        with contextlib.suppress(OSError):  # the other side is gone
            seen += os.read(leader, 65536)
        return seen

    try:
        until(lambda: b"lag 0" in screen(), "the whole picture")
        for part in (b"4 posts", b"posts/s", b"positive 1 (25%)", b"horrible", b"vader 3.3.2"):
            assert part in seen
        assert "█".encode() in seen
        process.send_signal(signal.SIGINT)
        until(lambda: screen() and process.poll() is not None, "the end")
    finally:
        process.kill()
        process.wait()
        os.close(leader)
    assert process.returncode == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()


@pytest.mark.broker
def test_watch_says_what_is_wrong_in_one_line(broker: tuple[str, ...]) -> None:
    done = cli("sentiment", "watch", "-t", "no-such-topic", "-e", "-b", ",".join(broker))
    assert (done.returncode, done.stdout) == (2, "")
    assert "no-such-topic" in done.stderr
    assert len(done.stderr.splitlines()) == 1
