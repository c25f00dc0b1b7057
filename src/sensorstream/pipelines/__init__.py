"""Stations joined: replay (1-4), capture (6-9), verify (1 against 9). Own threads, stop event, commit order."""
