"""The colours of verdicts in a terminal: of what ``doctor`` finds, and of what a post's text says."""

from typing import Final

FINDINGS: Final = {"ok": "green", "warning": "yellow", "problem": "bold red", "skipped": "dim"}
"""By the state of a check."""
LABELS: Final = {"positive": "green", "neutral": "default", "negative": "red", "unscored": "dim"}
"""By the kind of a post."""
