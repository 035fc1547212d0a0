"""What a peer says, made fit for events, logs and history."""

from typing import Final

TEXT_CHARS_MAX: Final = 200
"""Characters kept of a peer's reason or message: enough for every known one, with room for a proxy's sentence."""


def clean_text(text: str, limit: int = TEXT_CHARS_MAX) -> str:
    """``text`` without control, formatting and surrogate characters, cut to ``limit`` characters.

    It may still quote a secret: what is shown goes through :meth:`Vault.redact`.
    """
    # Cut twice: a peer must not make us walk through a megabyte of control characters.
    return "".join(char for char in text[: 4 * limit] if char.isprintable())[:limit]
