"""Stations 6-8-4: a topic into another one, exactly once, in one process or several."""
