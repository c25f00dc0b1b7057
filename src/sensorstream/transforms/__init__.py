"""Station 8: what happens to decoded rows between reading and storing; scoring is one case of it."""
