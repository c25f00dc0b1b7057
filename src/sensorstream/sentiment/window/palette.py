"""The window's colours, light and dark."""

from dataclasses import dataclass
from typing import Final

from sensorstream.sentiment.feed import Kind


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours as ``#rrggbb``. Texts have a contrast of at least 4.5 to what they stand on (WCAG 2.1, 1.4.3)."""

    background: str
    surface: str
    text: str
    muted: str
    line: str
    selected: str
    positive: str
    negative: str
    neutral_fill: str
    warning: str

    def of(self, kind: Kind | None) -> str:
        """The colour of texts of a kind; a sign or a word always says the same."""
        return {"positive": self.positive, "negative": self.negative}.get(kind or "", self.muted)

    def fill(self, kind: Kind) -> str:
        """The colour of an area of a kind."""
        fills = {"positive": self.positive, "negative": self.negative, "neutral": self.neutral_fill}
        return fills.get(kind, self.line)


LIGHT: Final = Palette(
    background="#f3f5f8",
    surface="#ffffff",
    text="#1c2128",
    muted="#59636e",
    line="#d5dbe1",
    selected="#d3e5fb",
    positive="#0b7a75",
    negative="#b5390b",
    neutral_fill="#a9b3be",
    warning="#8a5a00",
)
DARK: Final = Palette(
    background="#16191e",
    surface="#1f242b",
    text="#e6edf3",
    muted="#a3adb8",
    line="#39414b",
    selected="#264a73",
    positive="#4fd1c5",
    negative="#ff9e64",
    neutral_fill="#6b7681",
    warning="#e3b341",
)
