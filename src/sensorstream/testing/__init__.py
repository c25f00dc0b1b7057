"""A pytest plug-in: real Kafka brokers as fixtures, without Docker or an installed Java. See docs/testing.md."""
