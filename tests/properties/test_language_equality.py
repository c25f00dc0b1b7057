"""The language check gives the verdicts that it gave when it asked py3langid itself, text by text."""

import json
import os
import random
import time
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorstream.config import samples_folder
from sensorstream.sentiment import language
from sensorstream.sentiment.language import language_of, languages_of
from sensorstream.sentiment.language_model import model

SEED = 2012
MADE_UP = [
    *("", " ", "\x00", "a", "ab", "é", "\ud800", "x\udfffy", "ß" * 5, "!?", "12345678901234", "\N{GRINNING FACE}" * 30),
    *("THIS IS ALL IN CAPITALS", "DAS IST ALLES GROSSGESCHRIEBEN", "İSTANBUL ÇOK GÜZEL BİR ŞEHİR"),
    "Das Essen war wirklich gut, und die Bedienung freundlich; ich komme gern wieder.",
    "C'est magnifique, j'adore ! Je ne le recommande pas à tout le monde.",
    "La comida estaba muy buena y el servicio excelente, volveremos pronto.",
    "Que filme horrível, não gostei nada do final",
    "Det var en riktigt bra film och jag är glad", "To był naprawdę okropny film", "Bu film gerçekten çok kötüydü",
    "Этот фильм был ужасным", "这部电影太好看了", "この映画はとても良かったです", "오늘 정말 행복해요",
    "هذا الفيلم رائع جدا", "यह फिल्म बहुत अच्छी है", "\N{GREEK CAPITAL LETTER ETA} ταινία ήταν πολύ καλή",
    "הסרט היה נהדר", "ภาพยนตร์เรื่องนี้ดีมาก",
    "@someone http://t.co/abcdef https://example.org Quel beau temps !", "mailto@x @ @@ http:// httpd",
    "@\N{CYRILLIC SMALL LETTER A} это кто",
    "e\u0301te\u0301 a\u0300 la plage, c\u0327a va", "\u1112\u1161\u11ab\u1100\u1173\u11af",
    "Dobar dan, kako ste danas?", "Добар дан, како сте данас?", "gracias amigo the", "the der die das und ist nicht",
]  # fmt: skip
SCRIPTS = [
    (0x61, 0x7A), (0x41, 0x5A), (0xC0, 0xFF), (0x100, 0x17F), (0x370, 0x3FF), (0x400, 0x45F), (0x5D0, 0x5EA),
    (0x620, 0x64A), (0x900, 0x94D), (0xE01, 0xE3A), (0x1E00, 0x1EFF), (0x3040, 0x30FF), (0x4E00, 0x5200),
    (0xAC00, 0xAE00), (0x300, 0x308), (0x1100, 0x11FF), (0xFF21, 0xFF3A), (0xD800, 0xDFFF), (0x1F600, 0x1F640),
]  # fmt: skip
ALPHABETS = [
    *("".join(map(chr, range(first, last + 1))) for first, last in SCRIPTS),
    "@# http://x.y/ .,!?'\"-\u2019\u2026 ",
]


@cache
def py3langid() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def reference(text: str) -> str | None:
    """The check as it was when each text went through py3langid on its own."""
    head = text[:1000]
    if reference_is_english(head.lower().split()):
        return "en"
    head = language._NOISE.sub(" ", head)
    if reference_is_english(head.lower().translate(language._PUNCTUATION).split()):
        return "en"
    if (len(head) < 12 and head.isascii()) or not language._LETTER.search(head):
        return None
    found, probability = py3langid().classify(head.encode("utf-8", "replace"))
    return str(found) if probability >= 0.5 and found not in {"zxx", "und", "pcm"} else None


def reference_is_english(words: list[str]) -> bool:
    distinct = frozenset(words)
    if distinct.isdisjoint(language._TELLING):
        return False
    return len(distinct) <= 5 or len(distinct & language._ENGLISH) >= max(2, len(distinct) // 10)


def assert_equal(texts: Sequence[str]) -> None:
    """The same verdicts in a batch, and from the model itself the same languages and probabilities, to the last bit."""
    for text, found in zip(texts, languages_of(texts), strict=True):
        assert found == reference(text), ascii(text)
    for text, answer in zip(texts, model().classify(texts), strict=True):
        assert answer == py3langid().classify(text.encode("utf-8", "replace")), ascii(text)


def real_texts(*comments: str) -> Iterator[tuple[str, list[str]]]:
    folder = os.environ.get("SENSORSTREAM_TEST_DATA")
    if folder is None:
        pytest.skip("SENSORSTREAM_TEST_DATA is not set: the texts are not part of the project")
    tweets = (Path(folder) / "vader_tweets" / "tweets_GroundTruth.txt").read_bytes().decode().split("\n")
    yield "tweets", [line.rstrip("\r").split("\t")[2] for line in tweets if line]
    for name in comments:
        lines = (Path(folder) / "goemotions" / f"{name}.tsv").read_bytes().decode().split("\n")
        yield name, [line.split("\t")[0] for line in lines if line]


@pytest.mark.parametrize(
    "comments",
    [("dev", "test"), pytest.param(("train",), marks=pytest.mark.campaign)],
    ids="+".join,
)
def test_real_texts(comments: tuple[str, ...]) -> None:
    for name, texts in real_texts(*comments):
        found = languages_of(texts)
        other = [text for text, one in zip(texts, found, strict=True) if one != reference(text)]
        assert not other, f"{name}: {len(other)} of {len(texts)} have another verdict, such as {other[0]!a}"


def test_the_samples_posts() -> None:
    lines = (samples_folder() / "posts.jsonl").read_text(encoding="utf-8").splitlines()
    assert_equal([json.loads(line)["text"] for line in lines])


def test_made_up_texts() -> None:
    assert_equal(MADE_UP)
    assert_equal([unicodedata.normalize("NFD", text) for text in MADE_UP])
    for text in MADE_UP:
        assert language_of(text) == reference(text), ascii(text)


def test_texts_of_any_scripts() -> None:
    random_ = random.Random(SEED)
    texts = []
    for _ in range(1000):
        alphabet = "".join(random_.sample(ALPHABETS, random_.choice((1, 1, 1, 2, 3))))
        text = "".join(random_.choices(alphabet, k=random_.choice((1, 5, 6, 7, 20, 80, 300))))
        texts.append(
            random_.choice((text, text, f"{text} {random_.choice(MADE_UP)}", f"{random_.choice(MADE_UP)}{text}"))
        )
    assert_equal(texts)


@given(st.lists(st.text(st.characters(), max_size=60), max_size=8))
@settings(max_examples=100, deadline=None)
def test_any_texts(texts: list[str]) -> None:
    assert_equal(texts)


def test_a_batch_is_not_bounded_and_its_texts_do_not_touch() -> None:
    long = "Этот фильм был ужасным " * 60
    texts = [long, "é", *MADE_UP, long * 20] * 15
    assert sum(len(text.encode("utf-8", "replace")) for text in texts) > 1 << 16
    assert model().classify(texts) == [answer for text in texts for answer in model().classify([text])]


def test_time_is_linear_in_the_length() -> None:
    text = "Этот фильм был ужасным. "

    def best(times: int) -> float:
        taken = []
        for _ in range(5):
            began = time.process_time()
            model().classify([text * times])
            taken.append(time.process_time() - began)
        return min(taken)

    best(10)
    assert best(4_000) < 24 * best(500), "8 times the length"
