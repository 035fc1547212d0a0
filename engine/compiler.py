"""From data to tables: validate everything, then compile, or raise all faults at once."""

import msgspec

from .errors import ChartError
from .model import Statechart
from .soundness import check_soundness
from .tables import Chart
from .validate import Inspector


def compile_chart(source: Statechart) -> Chart:
    """Compile a chart's data.

    Raises:
        ChartError: the chart is wrong; ``faults`` lists everything, each with state, row and mend. Only what
            needs a sound tree of states (reachability, dead rows) has to wait until the states are mended.
    """
    inspector = Inspector(source)
    inspector.check_states()
    inspector.check_rows()
    if inspector.sound_states:
        kept = tuple(row for row in source.transitions if row not in inspector.broken)
        check_soundness(inspector, Chart(msgspec.structs.replace(source, transitions=kept)))
    if inspector.faults:
        raise ChartError(tuple(inspector.faults))
    return Chart(source)
