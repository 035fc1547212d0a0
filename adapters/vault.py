"""Where tokens live in memory. The engine, its journals and diagrams know a credential only as a generation number."""

import json
import re
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any, Final, NoReturn
from urllib.parse import quote, quote_plus

REDACTED: Final = "[redacted]"
RETIRED_MAX: Final = 16
"""Secrets remembered for redaction only: what was just replaced is still in answers and exceptions under way."""
TOKEN_CHARS_MIN: Final = 8
"""Nothing shorter is looked for: it keeps no secret, and would be found in ordinary words, which get acted on."""
PIECE_CHARS: Final = 12
"""A piece of a secret this long counts as the secret (P60). Shorter ones occur by chance."""


class TokenPair:
    """An access token and, where the service gives one, its refresh token. Immutable.

    A plain class on purpose: a dataclass or a struct would be written out by any serializer, and this one refuses
    pickling as well as JSON. Raises ``ValueError`` unless each token is printable ASCII (RFC 6749, A.12) without blanks
    at its ends; :func:`token_pair` trims first.
    """

    __slots__ = ("access", "refresh")

    access: str
    refresh: str | None

    def __init__(self, access: str, refresh: str | None = None) -> None:
        object.__setattr__(self, "access", _checked("access token", access))
        object.__setattr__(self, "refresh", None if refresh is None else _checked("refresh token", refresh))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("TokenPair is immutable; make a new one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("TokenPair is immutable; make a new one")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TokenPair):
            return NotImplemented
        return (self.access, self.refresh) == (other.access, other.refresh)

    def __hash__(self) -> int:
        return hash((self.access, self.refresh))

    def __repr__(self) -> str:
        return f"TokenPair(access=<hidden>, refresh={'<hidden>' if self.refresh else None})"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("tokens are not pickled; store them in a CredentialStore")

    def __copy__(self) -> "TokenPair":
        return self

    def __deepcopy__(self, memo: object) -> "TokenPair":
        return self


def _checked(what: str, token: str) -> str:
    if not (isinstance(token, str) and token and token.isascii() and token.isprintable() and token == token.strip()):
        raise ValueError(f"the {what} must be printable ASCII without blanks at its ends")
    return token


def token_pair(access: str | None, refresh: str | None) -> TokenPair | None:
    """The pair of two stored settings: trimmed, blank counts as absent; None without an access token (S0-06).

    Raises:
        ValueError: a token holds characters no token has.
    """
    access, refresh = (access or "").strip(), (refresh or "").strip()
    return TokenPair(access, refresh or None) if access else None


def completed(pair: TokenPair, stored: TokenPair | None) -> TokenPair:
    """``pair`` with the stored refresh token where it brings none: an answer without one keeps the old one (P08)."""
    if pair.refresh is None and stored is not None and stored.refresh is not None:
        return TokenPair(pair.access, stored.refresh)
    return pair


class Vault:
    """The tokens of one account by generation: the current pair, and at most one rotated pair that is not yet stored.

    A command that names another generation is stale and gets None. Nothing here is durable and nothing awaits.
    """

    def __init__(self) -> None:
        self._generation: int | None = None
        self._pair: TokenPair | None = None
        self._pending: tuple[int, TokenPair] | None = None
        self._retired: deque[str] = deque(maxlen=RETIRED_MAX)
        self._codes: list[str] = []
        self._pattern: re.Pattern[str] | None = None

    def __repr__(self) -> str:
        pending = None if self._pending is None else self._pending[0]
        return f"Vault(generation={self._generation}, configured={self._pair is not None}, pending={pending})"

    def load(self, generation: int, pair: TokenPair | None) -> None:
        """Take over what the store holds. A pending pair that the store has overtaken is dropped."""
        overtaken = self._pending is not None and self._pending[0] <= generation
        self._replace(generation, pair, None if overtaken else self._pending)

    def hold_pending(self, generation: int, pair: TokenPair) -> None:
        """Keep a rotated pair that is not stored yet (V02). ``generation`` is the one it gets: the store's next.

        A pair without refresh token is completed with the one in force.
        """
        self._replace(self._generation, self._pair, (generation, completed(pair, self._pair)))

    def pair(self, generation: int) -> TokenPair | None:
        """The pair of a generation, pending or current: what is to be stored. Not for dialling (see :meth:`access`)."""
        if self._pending is not None and self._pending[0] == generation:
            return self._pending[1]
        return self._pair if generation == self._generation else None

    def use(self, generation: int) -> None:
        """The pending pair is stored now: make it current and forget the former. No such pending pair: no change."""
        if self._pending is not None and self._pending[0] == generation:
            self.load(generation, self._pending[1])

    def forget(self) -> None:
        """Drop all tokens after a logout. The last few are remembered for :meth:`redact` only."""
        self._replace(None, None, None)

    def access(self, generation: int) -> str | None:
        """The current access token, or None if ``generation`` is not in force. A pending one is never handed out."""
        return self._pair.access if self._pair is not None and generation == self._generation else None

    def in_force(self) -> tuple[int, str] | None:
        """The generation and access token to sign with now, if there is one."""
        return None if self._pair is None or self._generation is None else (self._generation, self._pair.access)

    def refresh(self, generation: int) -> str | None:
        """The current refresh token, or None if ``generation`` is not in force or has none.

        Also None while a rotated pair is pending: the old refresh token is spent and must never be posted again (V01).
        """
        if self._pending is not None or self._pair is None or generation != self._generation:
            return None
        return self._pair.refresh

    def hide(self, token: str) -> None:
        """Remember another token for :meth:`redact`: one that never came into force. Never raises."""
        if len(token) >= TOKEN_CHARS_MIN and token not in self._retired:
            self._retired.append(token)
            self._pattern = None

    @contextmanager
    def hiding(self, code: str) -> Generator[None]:
        """Hide a pairing code, of any length and form, from :meth:`redact` on, while the block runs."""
        self._codes.append(code)
        try:
            yield
        finally:
            self._codes.remove(code)

    def redact(self, text: str, limit: int = 500, *, codes: bool = True) -> str:
        """``text`` with every known secret replaced, then cut to ``limit`` characters.

        Catches whole secrets, also URL-encoded and JSON-escaped, and pieces of 12 characters or more of the plain form.
        Hand over the text before cutting it yourself: what is left of a cut secret may be too short to be recognised.
        Text that decides something is redacted without ``codes``: people type those, and may type an ordinary word.
        """
        tokens, hidden = self._tokens(), self._codes if codes else []
        pattern = self._pattern = self._pattern or _pattern_of(tokens)
        text = pattern.sub(REDACTED, text)
        if hidden:
            text = _pattern_of(hidden).sub(REDACTED, text)
        if len(text) > limit:
            text = text[: max(limit - 1, 0)] + "…"
        return _without_pieces(text, "\n".join([*tokens, *hidden]))

    def _replace(self, generation: int | None, pair: TokenPair | None, pending: tuple[int, TokenPair] | None) -> None:
        former = self._live()
        self._generation, self._pair, self._pending, self._pattern = generation, pair, pending, None
        live = self._live()
        for token in former:
            if token not in live:
                self.hide(token)

    def _live(self) -> list[str]:
        pairs = (self._pair, self._pending[1] if self._pending is not None else None)
        return [token for pair in pairs if pair for token in (pair.access, pair.refresh) if token is not None]

    def _tokens(self) -> list[str]:
        return [token for token in (*self._live(), *self._retired) if len(token) >= TOKEN_CHARS_MIN]


def _pattern_of(secrets: Iterable[str]) -> re.Pattern[str]:
    forms = {form for secret in secrets for form in _forms_of(secret)} - {""}
    # The longest first: a secret that begins with another one is replaced whole. The last resort matches nothing.
    return re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)) or r"[^\s\S]")


def _forms_of(secret: str) -> set[str]:
    escaped = json.dumps(secret)[1:-1]
    quoted = (quote(secret, safe="", errors="replace"), quote(secret, errors="replace"))  # half a surrogate pair too
    return {secret, *quoted, quote_plus(secret, errors="replace"), escaped, escaped.replace("/", r"\/")}


def _without_pieces(text: str, secrets: str) -> str:
    """Replace each stretch of ``text`` whose every window of 12 characters occurs in ``secrets``. No index is kept."""
    kept: list[str] = []
    at = 0
    while at < len(text):
        end = at + PIECE_CHARS
        if end <= len(text) and text[at:end] in secrets:
            while end < len(text) and text[end - PIECE_CHARS + 1 : end + 1] in secrets:
                end += 1
            kept.append(REDACTED)
            at = end
        else:
            kept.append(text[at])
            at += 1
    return "".join(kept)
