"""Station 9, asked in SQL: captured files of all kinds as tables."""
