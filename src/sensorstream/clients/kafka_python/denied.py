"""Station 5 with kafka-python: find the missing right in its exceptions, however they are wrapped.

The library raises an ``AuthorizationError`` in some places; in others (kafka-python 3.0.12: a producer id that is
refused, a transaction in its error state) a ``KafkaError`` that only names one in its text.
"""

import re
from typing import Final

from sensorstream.clients.rights import Denied

_NAMED: Final = re.compile(r"(Topic|Group|Cluster|TransactionalId)AuthorizationFailed(?:Error)?(?:: (?P<of>.+))?")
_KINDS: Final = {"Topic": "topic", "Group": "group", "Cluster": "cluster", "TransactionalId": "transactional id"}
_NAMES: Final = re.compile(r"\{?(?:'?[\w.-]+'?(?:, )?)+\}?")


def denied(error: BaseException) -> Denied | None:
    """The refusal in an exception of the library; None for any other error."""
    told = str(error)
    found = _NAMED.search(told) or _NAMED.search(type(error).__name__)
    if found is None:
        return None
    # A name, or a set of topics; anything else is no name.
    named = _NAMES.fullmatch(found["of"] or "")
    return Denied(_KINDS[found[1]], " and ".join(re.findall(r"[\w.-]+", named[0])) if named else "")
