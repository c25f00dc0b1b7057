"""The live screen in the terminal, on Textual: the only part that imports it."""
