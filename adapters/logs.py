"""Loggers that cannot tell a secret (P60).

Holdfast logs under ``holdfast`` and its children. What it says about an account goes through the account's vault. Of
the libraries beneath, httpx and httpcore log no request headers, but ``websockets`` writes whole frames at DEBUG, and
the connect frame carries the token: hand it :func:`quiet_logger`. What httpcore writes at DEBUG are the heads of
answers, in the peer's words: keep it above DEBUG where a peer may repeat what it was sent.
"""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

from .vault import Vault

LOG_LINE_MAX = 4000
"""Characters of one message, traceback included."""


class RedactingLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose messages, arguments and tracebacks pass through a vault before any handler sees them."""

    def __init__(self, name: str, vault: Vault) -> None:
        super().__init__(logging.getLogger(name))
        self._vault = vault

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Format, redact, pass on. An exception goes along as text: a handler would format the original."""
        if not self.isEnabledFor(level):
            return
        text = str(msg) % args if args else str(msg)
        error = kwargs.pop("exc_info", None)
        if error:
            text = f"{text}\n{_trace_of(error)}"
        # One frame up from here is logging itself, which is skipped; the caller is the one above.
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        self.logger.log(level, "%s", self._vault.redact(text, LOG_LINE_MAX), **kwargs)


class _QuietLogger(logging.LoggerAdapter[logging.Logger]):
    """Nothing below INFO, whatever the application's level: DEBUG is where frames are written out."""

    def isEnabledFor(self, level: int) -> bool:
        return level > logging.DEBUG and super().isEnabledFor(level)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, kwargs


def quiet_logger() -> "logging.LoggerAdapter[logging.Logger]":
    """The logger for ``websockets.connect(logger=...)``: ``holdfast.websockets``, never at DEBUG."""
    return _QuietLogger(logging.getLogger("holdfast.websockets"))


def _trace_of(error: Any) -> str:
    if not isinstance(error, BaseException):
        error = sys.exc_info()[1] if error is True else error[1]
    return "".join(traceback.format_exception(error)).rstrip() if error is not None else ""
