"""The gateway process: its chart on a bench, and real children."""
