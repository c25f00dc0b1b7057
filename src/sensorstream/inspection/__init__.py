"""Describe a file: its layout, the content of its columns, and when its rows were recorded."""
