"""Station 1 against 9: sources and what was captured of them."""
