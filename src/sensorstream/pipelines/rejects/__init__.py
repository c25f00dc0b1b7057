"""Dead letters: what is in rejected files, and publishing the mended ones."""
