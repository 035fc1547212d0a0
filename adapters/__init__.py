"""The edge to the world: they carry out commands and report events, and decide nothing."""
