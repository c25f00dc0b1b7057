"""The plain way to score a stream: a loop around kafka-python and vaderSentiment, as most people write it.

``python -m bench.plain_scorer BOOTSTRAP FROM TO GROUP``. At least once at best: no transaction, no language check.
"""

import json
import sys

from kafka import KafkaConsumer, KafkaProducer
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer


def main(bootstrap: str, source: str, target: str, group: str) -> None:
    """Score everything that is in ``source`` into ``target``."""
    servers = bootstrap.split(",")
    consumer = KafkaConsumer(
        source,
        bootstrap_servers=servers,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        consumer_timeout_ms=500,
    )
    producer = KafkaProducer(bootstrap_servers=servers, acks="all")
    analyzer = SentimentIntensityAnalyzer()
    for message in consumer:
        post = json.loads(message.value)
        post.update(analyzer.polarity_scores(post["text"]))
        producer.send(target, json.dumps(post).encode(), key=message.key)
    producer.flush()
    consumer.commit()
    consumer.close()
    producer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
