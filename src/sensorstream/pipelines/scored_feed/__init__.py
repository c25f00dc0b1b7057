"""Stations 6-8: a topic of scored posts, read for those who watch it; without a group."""
