"""Stations 1-2: from a source file to rows, at the right moment."""
