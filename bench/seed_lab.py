"""The seed lab's way of publishing a CSV file: pandas rows, a dict each, one send each. The base line to beat."""

import json
import sys

import pandas as pd
from kafka import KafkaProducer


def main(bootstrap: str, topic: str, path: str) -> None:
    """Publish the rows of ``path`` to the two partitions of ``topic``."""
    producer = KafkaProducer(bootstrap_servers=bootstrap.split(","))
    for index, row in pd.read_csv(path).iterrows():
        producer.send(topic, value=json.dumps(row.to_dict()).encode(), partition=int(str(index)) % 2)
    producer.flush()
    producer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
