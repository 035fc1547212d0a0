"""The pure engine: a chart as data, and one function that steps a snapshot through it."""
