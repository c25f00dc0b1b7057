"""Station 9: where captured records are stored, together with their position."""
