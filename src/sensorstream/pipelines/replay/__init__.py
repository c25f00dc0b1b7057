"""Stations 1-4: source files to topics, in one process or several."""
