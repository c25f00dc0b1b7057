"""Station 8: changes to decoded rows between reading and storing; scoring is one of them."""
