"""Dead letters: the content of rejected files, and publishing corrected ones."""
