"""Station 8 for texts: scorers, their accuracy on labelled data, and a window to try them."""
