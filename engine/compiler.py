"""From data to tables: validate everything, then compile, or raise all faults at once."""

from .errors import ChartError
from .model import Statechart
from .tables import Chart
from .validate import Inspector, check_tables


def compile_chart(source: Statechart) -> Chart:
    """Compile a chart's data.

    Raises:
        ChartError: the chart is wrong; ``faults`` lists everything, each with state, row and mend.
    """
    inspector = Inspector(source)
    inspector.check_states()
    inspector.check_rows()
    if not inspector.faults:
        chart = Chart(source)
        check_tables(inspector, chart)
    if inspector.faults:
        raise ChartError(tuple(inspector.faults))
    return chart
