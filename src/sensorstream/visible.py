"""Text from outside, made safe to show: its control characters are escaped."""

from typing import Final

# C0 and C1 controls, DEL and the direction overrides, which can make a line show what it does not say.
_VISIBLE: Final = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    for code in (
        *(*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)),
        *range(0xD800, 0xE000),  # the bytes of a file name that is not UTF-8, and half pairs out of JSON escapes
    )
}


def visible(text: str) -> str:
    """The text on one line, with control characters written out instead of obeyed."""
    return text.translate(_VISIBLE)
