"""Stations 6-9: partitions to files, each record once."""
