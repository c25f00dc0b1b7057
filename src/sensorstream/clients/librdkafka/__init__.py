"""Stations 4-6 with librdkafka, through confluent-kafka: the fast client, an extra."""
