"""Holdfast keeps an authenticated, long-lived gateway connection alive."""

# First of all imports, because the others find the root folders through it.
from . import _paths as _paths

__all__: list[str] = []
