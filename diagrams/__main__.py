"""``python -m holdfast.diagrams``: draw the shipped charts anew, into this folder."""

from pathlib import Path

from .export import CHARTS, export

for _chart in CHARTS:
    export(_chart, Path(__file__).parent)
