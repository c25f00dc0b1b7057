"""Station 8: the language of a text, at low cost: most English texts are recognised by their words.

A scorer of English gives nonsense for other languages, and a null score is better. A model decides
(:mod:`sensorstream.sentiment.language_model`), but it takes some tens of microseconds a text, several times what the
scoring takes. So it is asked only where the words leave a doubt, and for many texts at once.
"""

import re
from collections.abc import Sequence
from typing import Final

from sensorstream.sentiment.language_file import begin

# Enough to tell a language by; a post of a megabyte takes no longer than one of these.
_LOOKED_AT: Final = 1000
# The model's probability from which on a text counts as being in a language. Its probabilities hardly ever reach this
# for texts of a few words, which is as it should be: an English post of two words must not be turned away.
SURE: Final = 0.5
# Plain texts shorter than this never come to that.
_SHORTEST: Final = 12
# ISO 639: no linguistic content; undetermined; and Nigerian Pidgin, for which English slang is taken.
_NO_LANGUAGE: Final = frozenset({"zxx", "und", "pcm"})
_FEW: Final = 5
_NOISE: Final = re.compile(r"https?://\S+|@\w+")
_LETTER: Final = re.compile(r"[^\W\d_]")

# Frequent in English, and hardly met in texts of other languages that are written with the same letters.
_TELLING_WORDS: Final = """
    the and you it that with this have not are my your what they would there their about which when because who how
    but been just know don't it's i'm can't from were could should than then these those very you're that's didn't
    doesn't isn't i've i'll she his him our out get got too really much more some any other only even why where
    think good love great never always right people time make thanks thank won't being going back now work day today
    life them its off today's she's he's we're they're let's what's there's wasn't wouldn't i'd feel hope look
    looking need thing things something someone after before through down better way actually take first probably
    every little ever getting makes does thought give many maybe everyone might keep doing wish year least mean read
    trying such another long anyone years tell hard around old few until gonna while seems put help since believe
    call saw yes own dont nothing definitely anything remember watching playing went amazing awesome home again
    please understand must enough both wrong found guess though already wait hear else saying done everything
    without feeling almost comment miss same well absolutely myself lost loved funny imagine beautiful poor left
    using surprised literally hit far against heard full talking needs stay stuff night feels gotta came agree buy
    friends true worst coming terrible especially week wanted away either once interesting wonder talk thinking yet
    forgot able reason crazy story haven't each weird worth eat appreciate finally told completely rather seem under
    days hopefully happened knew took says send kill called bring lose girl women ready welcome during family
    different food exactly wanna pay run birthday tried wants tonight leave half heart missed early learn means
    honestly easy woman house hours holy between ago hour months weeks sweet meant happen interested realize
    yourself loves hate damn sucks suck worse stupid looks sounds liked okay pretty piece angry lucky three ugly
    weather running others cheers laugh try thats im disgusting boring hurts annoying gets brilliant lovely kidding
    stole nobody horrible ridiculous wonderful cute weekend proud jealous sick tired busy hungry bored excited
"""
# Frequent in English, and words of other languages too: they count only beside a telling one.
_SHARED_WORDS: Final = """
    a in am is was of to for we if so like i new be all me no do has at an or by on will one as had into over see
    can he did us say said come go want up hell still also last fine start name pass place point change second real
    part fake news sound free kids check play oh yeah money let find her here rest kind number friend fact high late
    black watch care couple phone world made mom dead head bad lol yay nice happy fun best
"""
_TELLING: Final = frozenset(_TELLING_WORDS.split())
_ENGLISH: Final = _TELLING | frozenset(_SHARED_WORDS.split())
_PUNCTUATION: Final = str.maketrans(
    dict.fromkeys('.,!?;:"()[]{}*&/\\-_~#@<>|+=\u2026\u201c\u201d', " ") | {"\u2019": "'"}
)


def language_of(text: str) -> str | None:
    """The language of a text: its code in ISO 639-1, in 639-3 where it has none there; None where it can't be told.

    Only the first 1,000 characters are looked at.
    """
    return languages_of([text])[0]


def languages_of(texts: Sequence[str]) -> list[str | None]:
    """The same for each of many texts, in order, which takes less time than one by one."""
    answers: list[str | None] = []
    places: list[int] = []
    doubtful: list[str] = []
    for text in texts:
        head = text[:_LOOKED_AT]
        low = head.lower()
        if _is_english(low.split()):
            answers.append("en")
            continue
        if "@" in head or "http" in head:
            head = _NOISE.sub(" ", head)
            low = head.lower()
        if _is_english(low.translate(_PUNCTUATION).split()):
            answers.append("en")
            continue
        if (len(head) >= _SHORTEST or not head.isascii()) and _LETTER.search(head):
            places.append(len(answers))
            doubtful.append(head)
        answers.append(None)
    if doubtful:
        from sensorstream.sentiment.language_model import model

        for place, (language, probability) in zip(places, model().classify(doubtful), strict=True):
            if probability >= SURE and language not in _NO_LANGUAGE:
                answers[place] = language
    return answers


def load_ahead() -> None:
    """Begin to unpack the model, on a thread that nobody waits for: for somebody who will ask for many texts."""
    begin()


def _is_english(words: list[str]) -> bool:
    """Whether the words leave no doubt: a telling one, and beside it, unless they are few, one more and a tenth."""
    distinct = set(words)
    known = distinct & _ENGLISH
    if known.isdisjoint(_TELLING):
        return False
    return len(distinct) <= _FEW or len(known) >= max(2, len(distinct) // 10)
