"""Station 8: scoring as a transform: a post in, the same post with its scores out."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from sensorstream.records import ConsumedRecord, Json, Number, Row
from sensorstream.sentiment.base import Score, Scorer
from sensorstream.serde.json import quote
from sensorstream.transforms.base import InputRow, OutputRow, Transformed, Unusable

FIELDS: Final = (
    *("compound", "pos", "neu", "neg", "label", "language", "scorer", "status", "reason"),
    *("source_topic", "source_partition", "source_offset", "scored_at"),
)
"""What a scored row has besides the fields of its post, in this order."""

KEPT_AS: Final = "original_"

_FIELDS: Final = frozenset(FIELDS)
_REMEMBERED: Final = 1 << 15


class ScoreTransform:
    """Adds the scores of one text field to each row.

    All fields of the post stay, in their order; one that goes by a name of :data:`FIELDS` becomes
    ``original_NAME`` (once more where that is taken too), so that a scored topic can be scored again. A text that is
    null is an empty one: CSV knows no difference. A number is scored as the letters that it is written in. A row
    without the field, or with anything else in it, is Unusable. Everything but ``scored_at`` is the same each time.
    """

    def __init__(self, scorer: Scorer, text_field: str = "text") -> None:
        self._scorer = scorer
        self._text_field = text_field
        self.name = f"score with {scorer.name}"
        self.version = scorer.version
        positive, negative = scorer.thresholds
        self._signature = Json(
            f'{{"name":{quote(scorer.name)},"version":{quote(scorer.version)},'
            f'"thresholds":{{"positive":{positive!r},"negative":{negative!r}}}}}'
        )

    def apply(self, rows: Sequence[InputRow]) -> Sequence[Transformed]:
        """One row, or why it can't be scored, for each row."""
        answers: list[Transformed] = []
        places: list[int] = []
        texts: list[str] = []
        for row, _ in rows:
            text = self._text(row)
            if isinstance(text, Unusable):
                answers.append(text)
                continue
            places.append(len(answers))
            texts.append(text)
            answers.append(())
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for place, score in zip(places, self._scorer.score_batch(texts), strict=True):
            row, record = rows[place]
            answers[place] = (OutputRow(self._scored(row, record, score, now)),)
        return answers

    def _text(self, row: Row) -> str | Unusable:
        try:
            text = row[self._text_field]
        except KeyError:
            return Unusable(f"there is no field {self._text_field!r}")
        if text is None:
            return ""
        if isinstance(text, Json) or not isinstance(text, str):
            kind = "a truth value" if isinstance(text, bool) else "an object or array"
            return Unusable(f"the field {self._text_field!r} is {kind}, not a text")
        return text

    def _scored(self, row: Row, record: ConsumedRecord, score: Score, now: str) -> Row:
        if not _FIELDS.isdisjoint(row):
            row = {_kept_as(name, row): value for name, value in row.items()}
        compound, pos, neu, neg, label, status, language, reason = score
        return {
            **row,
            "compound": _letters[compound],
            "pos": _letters[pos],
            "neu": _letters[neu],
            "neg": _letters[neg],
            "label": label,
            "language": language,
            "scorer": self._signature,
            "status": status,
            "reason": reason,
            "source_topic": record.topic,
            "source_partition": Number(record.partition),
            "source_offset": Number(record.offset),
            "scored_at": now,
        }


class _Letters(dict[float | None, Number | None]):
    """Figures in letters, remembered: rounded ones repeat themselves."""

    def __missing__(self, figure: float | None) -> Number | None:
        # Adding 0.0 makes 0.0 of -0.0 and of a plug-in's 0, which a dictionary can't tell from it.
        made = None if figure is None else Number(repr(figure + 0.0))
        if len(self) >= _REMEMBERED:
            self.clear()
        self[figure] = made
        return made


_letters: Final = _Letters()


def _kept_as(name: str, row: Row) -> str:
    """The name under which a post's own field stays, where it is one of ours."""
    if name in FIELDS:
        name = KEPT_AS + name
        while name in row:
            name = KEPT_AS + name
    return name


def make(options: Mapping[str, str]) -> ScoreTransform:
    """The transform ``score``. Its options: ``scorer`` (a name or a file), ``text_field``, and those of the scorer.

    Raises UsageError.
    """
    from sensorstream.sentiment.scorers import DEFAULT, open_scorer

    rest = dict(options)
    text_field = rest.pop("text_field", "text")
    return ScoreTransform(open_scorer(rest.pop("scorer", DEFAULT), rest), text_field)
