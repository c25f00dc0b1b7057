"""Station 8 for texts: scorers, what they are worth on labelled data, and the window in which to try them."""
