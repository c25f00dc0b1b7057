"""Station 4: waiting for many deliveries, for clients that have one delivery object for each record."""

import time
from collections.abc import Iterable

from sensorstream.clients.base import Delivery
from sensorstream.errors import DeliveryError


def wait_for_all(deliveries: Iterable[Delivery], timeout_s: float) -> int:
    """Wait for all outcomes; the last one's offset, -1 where there are none.

    Raises the first failure when all outcomes are known, and at once what says that one is still open.
    """
    deadline = time.monotonic() + timeout_s
    offset, failure = -1, None
    for delivery in deliveries:
        try:
            offset = delivery.wait(max(0.0, deadline - time.monotonic()))
        except DeliveryError as error:
            if not delivery.done():
                raise
            failure = failure or error
    if failure is not None:
        raise failure
    return offset
