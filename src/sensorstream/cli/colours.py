"""The colours of verdicts in a terminal: what ``doctor`` finds, how a demonstration ends, what a post's text says."""

from typing import Final

FINDINGS: Final = {"ok": "green", "warning": "yellow", "problem": "bold red", "skipped": "dim"}
"""By the state of a check."""
VERDICTS: Final = {True: "bold green", False: "bold red"}
"""By whether a demonstration has shown what it was to show."""
LABELS: Final = {"positive": "green", "neutral": "default", "negative": "red", "unscored": "dim"}
"""By the kind of a post."""
