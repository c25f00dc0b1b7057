"""Stations 3 and 7: serialiser and deserialiser of one format live together."""
