"""The process chart: what keeps one gateway running on one port, as data. Read as the account chart is."""

from holdfast.engine import Statechart, compile_chart

from .context import Process
from .regions import LIFE, LIFE_ROWS, REQUEST_ROWS, REQUESTS

PROCESS = Statechart(
    name="process",
    context=Process,
    parallel=True,
    states=(LIFE, REQUESTS),
    transitions=(*LIFE_ROWS, *REQUEST_ROWS),
)

process_chart = compile_chart(PROCESS)
