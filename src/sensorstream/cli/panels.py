"""In which group of its command's help an option stands: by its purpose, the same one for every command.

The group is the option's ``rich_help_panel``. An option whose name means something else in one command names its group
where it is declared.
"""

from typing import Any, Final

from typer.models import OptionInfo

WHAT: Final = "What"
WHEN: Final = "When"
WHERE: Final = "Where"
HOW: Final = "How"
RECORDS: Final = "Records"
FILES: Final = "Source files"
EXACTLY_ONCE: Final = "Exactly once"
MEASURES: Final = "Measures"
SENDING: Final = "Sending"
PAGE: Final = "Page"
CONNECTION: Final = "Connection"
OUTPUT: Final = "Output"

ORDER: Final = (
    *(WHAT, MEASURES, WHEN, WHERE, HOW, PAGE, EXACTLY_ONCE, RECORDS, FILES),
    *(SENDING, CONNECTION, OUTPUT),
)
"""The groups as they follow one another in every help."""

_OPTIONS: Final = {
    WHAT: (
        *("source", "topic", "partition", "from", "from-row", "offset", "group", "limit", "rows", "columns"),
        *("window", "by", "page", "label", "all", "lines", "zookeeper", "days", "partitions", "replication-factor"),
        *("brokers", "kafka-version", "mode", "schema-registry", "metrics", "links", "secure", "acl", "keep"),
        *("sentiment", "chaos", "shift-by", "no-feed", "worst", "stop", "freeze", "slow", "slow-link", "cut-link"),
        *("bandwidth", "rolling"),
    ),
    WHEN: (
        *("delay", "rate", "speed", "max-gap", "clock", "time-column", "time-format", "time-zone", "timestamps"),
        *("loop", "follow", "timeout", "exit", "count", "max-rejects", "fail-if", "late", "idle", "commit-every"),
        *("every", "for", "hold", "seconds", "once"),
    ),
    WHERE: (
        *("to", "format", "folders", "date-column", "rotate-rows", "rotate-size", "rotate-time", "report", "out"),
        *("dir", "name", "port", "ports", "data-dir", "docker", "file", "compose-profile", "listen", "dead-letters"),
        "create",
    ),
    HOW: (
        *("thread", "processes", "workers", "instance", "transform", "set", "scorer", "no-language-check", "bucket"),
        *("yes", "dry-run", "force", "delete-data", "offline", "kill", "seed", "memory", "max-open", "shell"),
        *("held-out", "language", "min-macro-f1", "light", "dark"),
    ),
    EXACTLY_ONCE: ("exactly-once", "job", "restart"),
    RECORDS: (
        *("partition-by", "key", "value-format", "schema", "with", "key-format", "flatten", "tombstones", "raw"),
        *("text-field", "id-field", "page-field", "time-field", "plain"),
    ),
    FILES: (
        *("text-column", "label-column", "rating-column", "rating-scale", "rating-centre", "gold-cut"),
        *("encoding", "source-format", "delimiter", "quote"),
    ),
    OUTPUT: ("explain", "whole", "latency"),
}
_PANEL_OF: Final = {f"--{name}": panel for panel, names in _OPTIONS.items() for name in names}


def assign(annotation: Any) -> None:
    """Put the option that a parameter is annotated with into its group, unless its declaration names one."""
    for option in getattr(annotation, "__metadata__", ()):
        if isinstance(option, OptionInfo) and not option.rich_help_panel:
            # What is declared first is kept as the default, until Typer sees that it stands in an Annotated.
            declared = (str(name).partition("/")[0] for name in (option.default, *(option.param_decls or ())))
            option.rich_help_panel = next((_PANEL_OF[name] for name in declared if name in _PANEL_OF), None)


COMMANDS: Final = {
    "Start here": ("demo", "samples", "inspect", "config", "doctor"),
    "Run Kafka": ("cluster", "topics", "brokers"),
    "Publish and capture": ("produce", "consume", "run", "verify", "coverage", "jobs", "rejects"),
    "Process": ("stream", "aggregate", "sentiment"),
    "Watch": ("monitor", "lag", "groups", "wait", "metrics", "bench"),
    "Look at files": ("plot", "query"),
}
"""The program's commands by what they are for, in the order of its help."""


def of(path: str) -> str | None:
    """The group that a command of the program stands in; None for the commands of a group."""
    return next((panel for panel, names in COMMANDS.items() if path in names), None)
