"""Stations 4-6, publish -> KAFKA -> read: the only place that imports a Kafka client."""
