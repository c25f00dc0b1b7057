"""Stations 6-9: a topic into event-time windows."""
