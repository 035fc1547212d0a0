"""The account's regions, one table each: read them row by row."""
