"""Texts from outside, made safe for a window: on one line, escaped, without characters that Tk can't draw."""

import re
from typing import Final

# Controls, direction overrides and half pairs; a window has room for a mark, not for an escape.
_MARK: Final = "\N{REPLACEMENT CHARACTER}"
_MARKED: Final = dict.fromkeys(
    (
        *(*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)),
        *range(0xD800, 0xE000),
    ),
    _MARK,
)

# What a font of coloured pictures may have a picture for.
_EMOJI: Final = re.compile("[\u2190-\u2bff\u3030-\u32ff\ufe0f\U00010000-\U0010ffff]")
# Tk takes a NUL for the end of a text, and has no way to say half a pair.
_TAKEN: Final = dict.fromkeys((0, *range(0xD800, 0xE000)), _MARK)


class Drawable:
    """Texts as this display can draw them; ``emoji``: whether it can draw those."""

    def __init__(self, *, emoji: bool = True) -> None:
        self._emoji = emoji

    def shown(self, text: str, most: int = 300) -> str:
        """At most ``most`` characters of a text, on one line."""
        line = " ".join(text[: 4 * most].split()).translate(_MARKED)
        if not self._emoji:
            line = _EMOJI.sub(_MARK, line)
        return line if len(line) <= most else line[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"

    def typeable(self, text: str) -> str:
        """A text as it can be put where people type."""
        text = text.translate(_TAKEN)
        return text if self._emoji else _EMOJI.sub(_MARK, text)


def signed(figure: float | None, digits: int = 4) -> str:
    """A figure with its sign, which nought has none of; a dash where there is no figure."""
    if figure is None:
        return "-"
    told = f"{figure:+.{digits}f}"
    return told if any(digit in told for digit in "123456789") else told[1:]
