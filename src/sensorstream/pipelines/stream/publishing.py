"""Station 4: the output of records in a transaction; what is too large for the topic becomes a dead letter."""

from collections.abc import Sequence

from sensorstream.clients.base import TransactionalPublisher
from sensorstream.errors import DeliveryError, RecordTooLarge
from sensorstream.pipelines.stream.records import Made, RecordTransformer, too_large_for_the_dead


def publish(publisher: TransactionalPublisher, made: Sequence[Made], transformer: RecordTransformer) -> None:
    """Publish what was made of records, in the open transaction of ``publisher``.

    Raises DeliveryError where the transaction must not be committed, and what the publisher raises.
    """
    left = list(made)
    while left:
        taken = publisher.publish_all([letter for one in left for letter in one.letters])
        for at, one in enumerate(left):
            if taken < len(one.letters):
                _publish_too_large(publisher, one, taken, transformer)
                left = left[at + 1 :]
                break
            taken -= len(one.letters)
        else:
            return


def _publish_too_large(
    publisher: TransactionalPublisher, one: Made, number: int, transformer: RecordTransformer
) -> None:
    """Bury a record whose output ``number`` is too large; what comes before that is queued already."""
    topic, partition, key, value, stamp, headers = one.letters[number]
    try:
        publisher.publish(topic, value, partition=partition, key=key, timestamp_ms=stamp, headers=headers)
    except RecordTooLarge as error:
        if one.dead:
            raise too_large_for_the_dead(one.record, topic, error.message) from error
        transformer.bury(one, f"its output is too large: {error.message}")
        if number:
            # Some of its output is in the transaction already: that must not be seen.
            raise DeliveryError(f"the transaction is repeated: {error.message}") from error
        if not publisher.publish_all(one.letters):
            _publish_too_large(publisher, one, 0, transformer)
    else:
        raise DeliveryError(f"{topic}: a record was taken that was too large before")
