"""Texts from outside as a window may show them: on one line, nothing obeyed, nothing that Tk can't draw."""

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

# Tk takes a NUL for the end of a text, and has no way to say half a pair.
_TAKEN: Final = dict.fromkeys((0, *range(0xD800, 0xE000)), _MARK)


def typeable(text: str) -> str:
    """A text as it can be put where people type."""
    return text.translate(_TAKEN)


def shown(text: str, most: int = 300) -> str:
    """At most ``most`` characters of a text, on one line."""
    line = " ".join(text[: 4 * most].split()).translate(_MARKED)
    return line if len(line) <= most else line[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def signed(figure: float | None, digits: int = 4) -> str:
    """A figure with its sign, which nought has none of; a dash where there is no figure."""
    if figure is None:
        return "-"
    told = f"{figure:+.{digits}f}"
    return told if any(digit in told for digit in "123456789") else told[1:]
