"""The charts as pictures: generated from the tables that are stepped, so that they cannot tell anything else."""

from .dot import dot
from .export import CHARTS, FORMATS, MissingGraphviz, export, stale
from .mermaid import mermaid

__all__ = ["CHARTS", "FORMATS", "MissingGraphviz", "dot", "export", "mermaid", "stale"]
