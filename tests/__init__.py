"""The tests. A package, so that the folders inside may be called like those they test."""
