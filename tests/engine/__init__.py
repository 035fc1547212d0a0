"""The engine: its semantics, its faults, its laws, and its equivalence with `transitions`."""
