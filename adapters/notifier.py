"""Telling the user: always in the log, and through a hook of the embedding program if there is one."""

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from anyio.abc import TaskGroup

from holdfast.statecharts import Notify

from .logs import RedactingLogger

Hook = Callable[[str, str], Awaitable[None] | None]
"""Called with a level (``error``, ``warning``, ``info``) and a text for the user. May be async."""

_LEVELS: Final = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO}


class Notifier:
    """Carries out Notify for one account. The hook runs in a task of its own, outside every lock and step (P23)."""

    def __init__(self, tasks: TaskGroup, log: RedactingLogger, hook: Hook | None) -> None:
        self._tasks = tasks
        self._log = log
        self._hook = hook

    def notify(self, command: Notify) -> None:
        """Log it, and hand it to the hook (S0-48)."""
        self._log.log(_LEVELS.get(command.level, logging.ERROR), "%s", command.text)
        if self._hook is not None:
            self._tasks.start_soon(self._call, self._hook, command)

    async def _call(self, hook: Hook, command: Notify) -> None:
        try:
            answer = hook(command.level, command.text)
            if inspect.isawaitable(answer):
                await answer
        except Exception:
            self._log.exception("the notification hook failed")
