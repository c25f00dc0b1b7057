"""Record ``sensorstream demo`` as a picture: ``python tools/record_demo.py [--sentiment] [docs/img/demo.svg]``.

The command runs under a pseudo-terminal, so what is drawn is what a person at a terminal sees: the program's own
output, in its own order and colours. Paths are shortened to what they are called inside the repository, since a
picture should not show whose machine it was made on.
"""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "img"
COLUMNS = 104
LINES = 60
COMMAND = ("sensorstream", "demo")

THEME = TerminalTheme(
    background=(17, 24, 33),
    foreground=(201, 209, 217),
    normal=[
        *((72, 79, 88), (248, 113, 113), (86, 211, 100), (227, 179, 65)),
        *((88, 166, 255), (188, 140, 255), (57, 197, 207), (201, 209, 217)),
    ],
)
# Without a font to load: a picture that is shown by a web page may load nothing.
FORMAT = """\
<svg class="terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>sensorstream demo, recorded</title>
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
    font-size: {char_height}px;
    line-height: {line_height}px;
    font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: 600; font-family: system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def record(command: tuple[str, ...], columns: int) -> str:
    """Run a command on a pseudo-terminal of its own and return what it wrote. Raises SystemExit when it fails."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "LINES")}
    environment |= {"TERM": "xterm-256color", "TMPDIR": "/tmp"}
    process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, cwd=ROOT, env=environment)
    os.close(its)
    written = bytearray()
    while True:
        try:
            block = os.read(ours, 1 << 16)
        except OSError:  # Linux says so when the other side is closed
            break
        if not block:
            break
        written += block
    os.close(ours)
    code = process.wait()
    text = written.decode()
    if code:
        raise SystemExit(f"{' '.join(command)} failed with exit code {code}:\n{text}")
    return text


def settled(written: str) -> list[str]:
    """The lines as they stand at the end: a status line that was wiped away has left nothing."""
    lines = [line.rsplit("\x1b[2K", 1)[-1].rstrip("\r") for line in written.split("\r\n")]
    # A table ends with a blank line of its full width.
    return [line if line.strip() else "" for line in lines]


def shorten(line: str) -> str:
    """The line with the repository's own folder left out; what follows in a table keeps its column."""
    folder = f"{ROOT}{os.sep}"

    def relative(match: re.Match[str]) -> str:
        return match.group(1) + match.group(2) + " " * len(folder)

    return re.sub(rf"{re.escape(folder)}(\S+)(\s*)", relative, line)


def draw(shown: str, lines: list[str], columns: int, picture: Path) -> None:
    """Write the lines as an SVG, the command above them."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=columns, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text.assemble(("$ ", "bold green"), (shown, "bold")))
        for line in lines:
            console.print(Text.from_ansi(line), soft_wrap=True)
        picture.parent.mkdir(parents=True, exist_ok=True)
        console.save_svg(str(picture), title=shown, theme=THEME, code_format=FORMAT, unique_id="demo")


def main() -> None:
    """Record, and write the picture that the command line names."""
    arguments = sys.argv[1:]
    sentiment = "--sentiment" in arguments
    named = [argument for argument in arguments if argument != "--sentiment"]
    picture = Path(named[0]) if named else PICTURES / ("demo-sentiment.svg" if sentiment else "demo.svg")
    command = (*COMMAND, "--sentiment") if sentiment else COMMAND
    lines = [shorten(line) for line in settled(record((*command, "--offline"), COLUMNS))]
    while lines and not lines[-1]:
        lines.pop()
    draw(" ".join(command), lines, COLUMNS, picture)
    sys.stdout.write(f"{picture}: {len(lines) + 1} lines, {picture.stat().st_size / 1000:.0f} kB\n")


if __name__ == "__main__":
    main()
