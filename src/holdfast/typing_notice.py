"""The notice that we are writing: begun, repeated while it lasts, and ended in any case."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from .adapters import Alarm, Clock, Dialect

AGAIN_S: Final = 10.0
"""How often the service wants to hear it, at most."""


def typing_notice(
    dialect: Dialect, clock: Clock, say: Callable[[str], None], chat_id: str
) -> AbstractAsyncContextManager[None]:
    """While the block runs, the chat sees that we write. Said on whatever connection there is.

    Raises:
        NotSupported, SendRefused: as :meth:`Link.typing` has it, before there is a block.
    """
    began = dialect.typing(chat_id=chat_id, is_typing=True)
    ended = dialect.typing(chat_id=chat_id, is_typing=False)
    return _noticed(began, ended, clock, say)


@asynccontextmanager
async def _noticed(began: str, ended: str, clock: Clock, say: Callable[[str], None]) -> AsyncGenerator[None]:
    alarm: Alarm | None = None

    def repeat() -> None:
        nonlocal alarm
        say(began)
        alarm = clock.call_at(clock.stamp().now + AGAIN_S, repeat)

    repeat()
    try:
        yield
    finally:
        if alarm is not None:
            alarm.cancel()
        say(ended)
