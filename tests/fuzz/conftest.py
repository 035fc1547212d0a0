"""What a fuzz test has in common with a link's test: a clock, and the proof that nothing is left behind."""

from ..link.conftest import clock, nothing_left

__all__ = ["clock", "nothing_left"]
