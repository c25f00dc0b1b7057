"""Replay recorded sensor data through Apache Kafka, capture it back, and see what the cluster does."""

__version__ = "0.1.0"
