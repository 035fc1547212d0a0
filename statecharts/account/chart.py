"""The account chart: its regions side by side, each a table of its own in ``regions``.

Read a table row by row: in ``source``, when ``trigger`` happens and the conditions hold, run the effects and go to
``dest``. Rows are tried top to bottom, inner states before outer ones; an event reaches every region. Each row
names the rules it carries out (docs/rules.md).
"""

from holdfast.engine import Statechart, compile_chart

from .context import Account
from .regions.connection import CONNECTION, CONNECTION_ROWS
from .regions.credentials import CREDENTIAL_ROWS, CREDENTIALS
from .regions.heartbeat import HEARTBEAT, HEARTBEAT_ROWS
from .regions.mirror import MIRROR, MIRROR_ROWS
from .regions.outbox import OUTBOX, OUTBOX_ROWS
from .regions.receipts import RECEIPT_ROWS, RECEIPTS
from .regions.refresh import REFRESH, REFRESH_ROWS

ACCOUNT = Statechart(
    name="account",
    context=Account,
    parallel=True,
    states=(CREDENTIALS, REFRESH, CONNECTION, HEARTBEAT, OUTBOX, RECEIPTS, MIRROR),
    transitions=(
        *CREDENTIAL_ROWS,
        *REFRESH_ROWS,
        *CONNECTION_ROWS,
        *HEARTBEAT_ROWS,
        *OUTBOX_ROWS,
        *RECEIPT_ROWS,
        *MIRROR_ROWS,
    ),
)

account_chart = compile_chart(ACCOUNT)
