"""Benchmarks: ratios against peers, measured in one run, several rounds, medians. ``make bench`` runs them all."""
