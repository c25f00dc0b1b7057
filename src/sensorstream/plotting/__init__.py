"""Stations 1 and 9 as pictures: curves of a file's columns over time, in the terminal or as PNG, SVG and HTML."""
