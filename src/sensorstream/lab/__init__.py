"""Whole labs: a producer and its consumers as processes, and the demonstration that ends with a verdict."""
