"""Pictures in an HTML page: one file, nothing from the network, light or dark as the reader's system."""

from html import escape
from typing import Final

from sensorstream.plotting.curves import Plot
from sensorstream.plotting.image import draw

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #24292f; --ground: #fff; --line: #d8dee4; --good: #1a7f37; --bad: #cf222e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --ground: #0d1117; --line: #30363d; --good: #3fb950; --bad: #ff7b72; }
  .light { display: none; }
}
@media not (prefers-color-scheme: dark) { .dark { display: none; } }
body { margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: var(--ink); background: var(--ground);
       font: 15px/1.5 system-ui, sans-serif; }
figure { margin: 1rem 0; } svg { width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: 0.5rem 0 1.5rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.75rem; border-bottom: 1px solid var(--line); text-align: left; }
td.number, th.number { text-align: right; }
.verdict { font-size: 1.25rem; font-weight: 700; } .good { color: var(--good); } .bad { color: var(--bad); }
"""


def page(title: str, body: str) -> str:
    """A whole page; ``body`` is HTML."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def figure(plot: Plot) -> str:
    """A plot as HTML, once for a light and once for a dark page."""
    label = ": ".join(part for part in (plot.title, _named(plot)) if part)
    parts = [f'<figure role="img" aria-label="{escape(label)}">']
    for theme in ("light", "dark"):
        drawn = draw(plot, "svg", theme).decode()
        svg = drawn[drawn.index("<svg") :]
        parts.append(f'<div class="{theme}">{svg}</div>')
    return "\n".join([*parts, "</figure>"])


def _named(plot: Plot) -> str:
    return ", ".join(panel.title for panel in plot.panels)
