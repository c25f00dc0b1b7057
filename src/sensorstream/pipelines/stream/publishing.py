"""Station 4: the output of records in a transaction; what is too large for the topic becomes a dead letter."""

from collections.abc import Sequence

from sensorstream.clients.base import TransactionalPublisher
from sensorstream.errors import DeliveryError, RecordTooLarge
from sensorstream.pipelines.stream.records import Letter, Made, RecordTransformer, too_large_for_the_dead


def publish(publisher: TransactionalPublisher, made: Sequence[Made], transformer: RecordTransformer) -> None:
    """Publish what was made of records, in the open transaction of ``publisher``.

    Raises DeliveryError where the transaction must not be committed, and what the publisher raises.
    """
    for one in made:
        for number, letter in enumerate(one.letters):
            try:
                _send(publisher, letter)
            except RecordTooLarge as error:
                if one.dead:
                    raise too_large_for_the_dead(one.record, letter.topic, error.message) from error
                transformer.bury(one, f"its output is too large: {error.message}")
                if number:
                    # Some of its output is in the transaction already: that must not be seen.
                    raise DeliveryError(f"the transaction is repeated: {error.message}") from error
                _send(publisher, one.letters[0])
                break


def _send(publisher: TransactionalPublisher, letter: Letter) -> None:
    topic, partition, key, value, stamp, headers = letter
    publisher.publish(topic, value, partition=partition, key=key, timestamp_ms=stamp, headers=headers)
