"""Station 8: a sequence of transforms; a failing one does not stop the rows of others."""

from collections.abc import Sequence
from contextlib import suppress

from sensorstream.records import ConsumedRecord
from sensorstream.transforms.base import InputRow, OutputRow, Transform, Transformed, Unusable, get_ready
from sensorstream.wording import counted


class Guarded:
    """A transform that never raises because of a row.

    When a batch breaks it, its rows are tried one by one, so that just the one that it is about becomes Unusable.
    """

    def __init__(self, transform: Transform) -> None:
        self._transform = transform
        self.name = transform.name
        self.version = transform.version

    def get_ready(self) -> None:
        """Begin what the transform takes long for. What a broken one raises is met again at its first rows."""
        with suppress(Exception, SystemExit):
            get_ready(self._transform)

    def apply(self, rows: Sequence[InputRow]) -> Sequence[Transformed]:
        """One answer for each row, in the same order."""
        try:
            return self._answers(rows)
        except (Exception, SystemExit) as error:  # whatever a plug-in raises
            if len(rows) == 1:
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                return [Unusable(f"transform {self.name} failed: {reason}")]
            return [answer for row in rows for answer in self.apply([row])]

    def _answers(self, rows: Sequence[InputRow]) -> Sequence[Transformed]:
        answers = self._transform.apply(rows)
        if len(answers) != len(rows):
            raise ValueError(f"it gave {counted(len(answers), 'answer')} for {counted(len(rows), 'row')}")
        return answers


class Chain:
    """Several transforms as one. A record of which any row is unusable to one of them is unusable whole."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self._transforms = tuple(transforms)
        self.name = "+".join(transform.name for transform in transforms)
        self.version = "+".join(transform.version for transform in transforms)

    def get_ready(self) -> None:
        """Begin what any of them takes long for."""
        for transform in self._transforms:
            get_ready(transform)

    def apply(self, rows: Sequence[InputRow]) -> Sequence[Transformed]:
        """One answer for each row, in the same order."""
        answers: list[Transformed] = [[OutputRow(row.row)] for row in rows]
        for transform in self._transforms:
            self._step(transform, rows, answers)
        return answers

    @staticmethod
    def _step(transform: Transform, rows: Sequence[InputRow], answers: list[Transformed]) -> None:
        """Put the rows of ``answers`` through one transform, all in one call."""
        inputs: list[InputRow] = []
        owners: list[int] = []
        came: list[OutputRow] = []
        for at, answer in enumerate(answers):
            if isinstance(answer, Unusable):
                continue
            for row in answer:
                inputs.append(InputRow(row.row, _as_input(row, rows[at])))
                owners.append(at)
                came.append(row)
        made: dict[int, list[OutputRow]] = {at: [] for at in range(len(answers))}
        for at, before, after in zip(owners, came, transform.apply(inputs) if inputs else [], strict=True):
            if isinstance(after, Unusable):
                if not isinstance(answers[at], Unusable):
                    answers[at] = after
                continue
            # What a transform leaves as it was is what the one before it made of it.
            made[at] += [
                OutputRow(
                    row.row,
                    before.key if row.key is None else row.key,
                    before.timestamp_ms if row.timestamp_ms is None else row.timestamp_ms,
                )
                for row in after
            ]
        for at, answer in enumerate(answers):
            if not isinstance(answer, Unusable):
                answers[at] = made[at]


def _as_input(row: OutputRow, came: InputRow) -> ConsumedRecord:
    record = came.record
    if row.key is None and row.timestamp_ms is None:
        return record
    return record._replace(
        key=record.key if row.key is None else row.key,
        timestamp_ms=record.timestamp_ms if row.timestamp_ms is None else row.timestamp_ms,
    )
