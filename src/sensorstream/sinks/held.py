"""Station 9: which offsets of its partition a captured file holds.

Members of a group with folders of their own hold a partition together, each the part that it had. So a file has an id,
by which a member finds out whether the group's position is that of its own file or of another one, and it remembers
the spans that it holds.
"""

import secrets
from dataclasses import dataclass
from typing import TypeAlias

Span: TypeAlias = tuple[int, int]
"""The first offset, and the one behind the last."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a file holds: ``spans`` that have ended, and what it has been writing from offset ``since`` on.

    ``file`` is the id of the file.
    """

    file: str
    since: int
    spans: tuple[Span, ...] = ()

    def up_to(self, position: int) -> tuple[Span, ...]:
        """All its spans, when its position is ``position``."""
        return (*self.spans, (self.since, position)) if position > self.since else self.spans

    def behind(self, position: int, skipped_to: int) -> "Held":
        """What it holds when it continues at ``skipped_to`` rather than at ``position``."""
        return Held(self.file, skipped_to, self.up_to(position))


def new_file(offset: int) -> Held:
    """What a file holds that begins at ``offset``."""
    return Held(secrets.token_hex(8), offset)
