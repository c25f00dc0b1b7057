"""Messages of Kafka's protocol that kafka-python 3.0.12 knows by their number only.

Each is described by a file of Kafka's own form (https://kafka.apache.org/protocol, KIP-631 for these), as the
library's are, and read by the library.
"""

import sys
from typing import Any

from kafka.protocol.api_message import ApiMessage

_HERE: Any = sys.modules[__name__]


class UnregisterBrokerRequest(ApiMessage, load_json=_HERE):  # type: ignore[misc, call-arg]
    """Ask the controllers to forget a broker that has stopped for good."""


class UnregisterBrokerResponse(ApiMessage, load_json=_HERE):  # type: ignore[misc, call-arg]
    """What they say to it."""
