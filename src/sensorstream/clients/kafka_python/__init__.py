"""Stations 4-6 with kafka-python: pure Python, installed everywhere; each file names the faults that it mends."""
