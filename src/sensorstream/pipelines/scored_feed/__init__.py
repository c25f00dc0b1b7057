"""Stations 6-8: a topic of scored posts, read for the views, without a consumer group."""
