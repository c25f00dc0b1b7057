"""Stations joined, a folder for each way through. Own threads, stop event, commit order."""
