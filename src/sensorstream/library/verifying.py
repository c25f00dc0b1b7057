"""``verify``: was each row captured exactly once?"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sensorstream.events import Listener, ignore

if TYPE_CHECKING:
    from sensorstream.pipelines.verify.verdict import Verification


def verify(
    sources: Mapping[str, str | Path],
    captured: str | Path | Sequence[str | Path],
    *,
    partition_by: Literal["row", "any"] = "row",
    partitions: int | None = None,
    limit: int | None = None,
    listener: Listener = ignore,
) -> "Verification":
    """Compare source files (topic to file) with captured files or folders, value by value, in order per partition.

    ``partition_by`` "any": the rows were not spread by their number. The result's ``exactly_once`` is the verdict.
    Raises UsageError, SourceError.
    """
    from sensorstream.pipelines.verify.verdict import VerifyOptions
    from sensorstream.pipelines.verify.verify import verify as compare

    places = [captured] if isinstance(captured, str | Path) else captured
    return compare(
        {topic: str(path) for topic, path in sources.items()},
        [Path(one) for one in places],
        options=VerifyOptions(partition_by, partitions, limit),
        sources_given=True,
        listener=listener,
    )
