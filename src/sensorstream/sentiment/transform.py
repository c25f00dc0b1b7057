"""Station 8: scoring as a transform: a post in, the same post with its scores out."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from sensorstream.records import ConsumedRecord, Json, Number, Row, Value
from sensorstream.sentiment.base import Score, Scorer
from sensorstream.sentiment.carried import PostNames, names_of
from sensorstream.serde.json import quote
from sensorstream.transforms.base import InputRow, OutputRow, Transformed, Unusable, get_ready

FIELDS: Final = (
    *("compound", "pos", "neu", "neg", "label", "language", "scorer", "status", "reason"),
    *("source_topic", "source_partition", "source_offset", "scored_at"),
)
"""What a scored row has besides the fields of its post, in this order."""

KEPT_AS: Final = "original_"

_REMEMBERED: Final = 1 << 15
_USUAL: Final = PostNames()
_NOTHING: Final[Mapping[str, Value]] = {}


class ScoreTransform:
    """Adds the scores of one text field to each row.

    All fields of the post stay, in their order; then come those that ``names`` gives a usual name, then
    :data:`FIELDS`. A post's own field of such a name becomes ``original_NAME`` (once more where that is taken too), so
    that a scored topic can be scored again. A text that is null is an empty one: CSV knows no difference. A number is
    scored as the letters that it is written in. A row without one of the fields, or with anything else for a text, is
    Unusable. Everything but ``scored_at`` is the same each time. Raises UsageError for a time format that is none.
    """

    def __init__(self, scorer: Scorer, names: PostNames = _USUAL) -> None:
        self._scorer = scorer
        self._text_field = names.text
        self._carry = names.reader() if names.given or names.id or names.page else None
        self._ours = frozenset((*names.given, *FIELDS))
        self.name = f"score with {scorer.name}"
        self.version = scorer.version
        cut = "null"
        if scorer.thresholds is not None:
            positive, negative = scorer.thresholds
            cut = f'{{"positive":{positive!r},"negative":{negative!r}}}'
        self._signature = Json(f'{{"name":{quote(scorer.name)},"version":{quote(scorer.version)},"thresholds":{cut}}}')

    def get_ready(self) -> None:
        """Begin what the scorer takes long for; see :class:`~sensorstream.transforms.base.SlowToStart`."""
        get_ready(self._scorer)

    def apply(self, rows: Sequence[InputRow]) -> Sequence[Transformed]:
        """One row, or why it can't be scored, for each row."""
        answers: list[Transformed] = []
        places: list[int] = []
        texts: list[str] = []
        carried: list[Mapping[str, Value]] = []
        for row, record in rows:
            text = self._text(row)
            found = _NOTHING if self._carry is None else self._carry(row, record)
            if isinstance(text, Unusable):
                answers.append(text)
                continue
            if isinstance(found, Unusable):
                answers.append(found)
                continue
            places.append(len(answers))
            texts.append(text)
            carried.append(found)
            answers.append(())
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for place, found, score in zip(places, carried, self._scorer.score_batch(texts), strict=True):
            row, record = rows[place]
            answers[place] = (OutputRow(self._scored(row, found, record, score, now)),)
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

    def _scored(self, row: Row, carried: Mapping[str, Value], record: ConsumedRecord, score: Score, now: str) -> Row:
        if not self._ours.isdisjoint(row):
            row = {self._kept_as(name, row): value for name, value in row.items()}
        compound, pos, neu, neg, label, status, language, reason = score
        return {
            **row,
            **carried,
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

    def _kept_as(self, name: str, row: Row) -> str:
        """The name under which a post's own field stays, where it is one of ours."""
        if name in self._ours:
            name = KEPT_AS + name
            while name in row:
                name = KEPT_AS + name
        return name


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


def make(options: Mapping[str, str]) -> ScoreTransform:
    """The transform ``score``.

    Its options: ``scorer`` (a name, a file or ``onnx:FOLDER``), ``text_field``, ``id_field``, ``page_field``,
    ``time_field``, ``time_format``, and those of the scorer.

    Raises UsageError.
    """
    from sensorstream.sentiment.scorers import DEFAULT, open_scorer

    rest = dict(options)
    names = names_of(rest)
    return ScoreTransform(open_scorer(rest.pop("scorer", DEFAULT), rest), names)
