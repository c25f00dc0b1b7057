"""Station 8: in which language a text is, cheaply: most English texts are told by their words.

A scorer of English gives nonsense for other languages, and a null score is better. A model decides (py3langid, after
Lui and Baldwin 2012, "langid.py: An Off-the-shelf Language Identification Tool", ACL), but it takes some tens of
microseconds a text, several times what the scoring takes. So it is asked only where the words leave a doubt.
"""

import re
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

# Enough to tell a language by; a post of a megabyte takes no longer than one of these.
_LOOKED_AT: Final = 1000
# The model's probability from which on a text counts as being in a language. Its probabilities hardly ever reach this
# for texts of a few words, which is as it should be: an English post of two words must not be turned away.
SURE: Final = 0.5
# Plain texts shorter than this never come to that.
_SHORTEST: Final = 12
# ISO 639: no linguistic content; undetermined; and Nigerian Pidgin, for which English slang is taken.
_NO_LANGUAGE: Final = frozenset({"zxx", "und", "pcm"})
_NOISE: Final = re.compile(r"https?://\S+|@\w+")
_LETTER: Final = re.compile(r"[^\W\d_]")

# Frequent in English, and hardly met in texts of other languages that are written with the same letters.
_TELLING_WORDS: Final = """
    the and you it that with this have not are my your what they would there their about which when because who how but
    been just know don't it's i'm can't from were could should than then these those very you're that's didn't doesn't
    isn't i've i'll she his him our out get got too really much more some any other only even why where think good love
    great never always right people time make thanks thank won't being going back now work day today life her them its
    off today's she's he's we're they're let's what's there's wasn't wouldn't i'd feel hope look looking need still
    thing things something someone after before through down bad better way oh actually take first last also probably
    every little ever getting makes does thought made give many maybe yeah find everyone might keep doing wish year
    least mean read trying such another long anyone years tell hard around old play real kind few until gonna let while
    seems put help since believe call saw yes own dont nothing definitely anything remember watch watching playing went
    amazing awesome home again please understand must enough both wrong found guess though already wait hear else saying
    done everything without feeling money almost comment check miss point kids world free name same hell well here head
    care absolutely myself lost loved part funny imagine beautiful poor change left using surprised literally hit far
    against place heard full talking needs stay stuff fact night feels gotta came agree buy friend friends true start
    news worst coming terrible especially week wanted away either once second interesting wonder talk thinking yet
    forgot able high reason crazy story haven't each weird worth eat appreciate phone finally told completely rather
    seem under days hopefully happened knew took says rest send kill called bring lose girl women ready welcome during
    family different fine couple number food exactly wanna pay run birthday tried wants tonight late leave half heart
    missed early dead mom black learn means honestly easy woman house hours holy sound between ago hour months weeks
    sweet meant pass happen interested realize yourself fake loves
"""
# Frequent in English, and words of other languages too: they count only beside a telling one.
_SHARED_WORDS: Final = """
    a in am is was of to for we if so like i new be all me no do has at an or by on will one as had into over see can
    he did us say said come go want up
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
    head = text[:_LOOKED_AT].lower()
    if _is_english(head.split()) or _is_english(head.translate(_PUNCTUATION).split()):
        return "en"
    head = _NOISE.sub(" ", text[:_LOOKED_AT])
    if (len(head) < _SHORTEST and head.isascii()) or not _LETTER.search(head):
        return None
    # The model works on UTF-8, in which half a surrogate pair is nothing.
    language, probability = _model().classify(head.encode("utf-8", "replace"))
    return str(language) if probability >= SURE and language not in _NO_LANGUAGE else None


def _is_english(words: list[str]) -> bool:
    """Whether the words leave no doubt: two frequent English ones, a telling one among them, and a tenth of all."""
    distinct = frozenset(words)
    return not distinct.isdisjoint(_TELLING) and len(distinct & _ENGLISH) >= max(2, len(distinct) // 10)


@cache
def _model() -> "LanguageIdentifier":
    """The model, loaded once in a process, in about a second, when the first doubtful text comes."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
