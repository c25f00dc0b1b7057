"""Stations 4-6 with kafka-python: pure Python, always installed; each file names the bugs that it works around."""
