"""What can be asked for on stdin: one JSON object a line, checked before anything is done."""

from typing import Annotated, Any, Final

import msgspec

Id = str | int | float
_Name = Annotated[str, msgspec.Meta(min_length=1)]


class Op(msgspec.Struct, frozen=True, kw_only=True):
    """Something to do. With an ``id`` it is answered by exactly one result."""

    id: Id | None = None


class Send(Op, frozen=True, kw_only=True):
    """Say something, and wait for the answer. ``timeout`` is in seconds; null waits as long as it takes."""

    chat_id: _Name
    text: str
    timeout: Annotated[float, msgspec.Meta(gt=0, le=1e9)] | msgspec.UnsetType | None = msgspec.UNSET
    message_id: str | None = None


class Post(Op, frozen=True, kw_only=True):
    """Queue something to say, for as long as it takes. A ``sent`` line tells how it ended."""

    chat_id: _Name
    text: str
    message_id: str | None = None


class SetTyping(Op, frozen=True, kw_only=True):
    """We began to write, or stopped."""

    chat_id: _Name
    is_typing: bool


class Handle(Op, frozen=True, kw_only=True):
    """The line with this ``ref`` is handled."""

    ref: Annotated[int, msgspec.Meta(ge=1)]


class Rest(Op, frozen=True, kw_only=True):
    """Ask the REST service. ``json`` is the body as it came; absent and ``null`` are no body."""

    method: Annotated[str, msgspec.Meta(pattern="^[A-Za-z]{1,20}$")]
    path: Annotated[str, msgspec.Meta(pattern=r"^/(?!/)[!-~]*$")]
    json: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)

    @property
    def body(self) -> bytes | None:
        """The body to send."""
        body = bytes(self.json)
        return None if body in (b"", b"null") else body


class AskConversation(Op, frozen=True, kw_only=True):
    """What is this chat?"""

    chat_id: _Name


class AskAgent(Op, frozen=True, kw_only=True):
    """Who is the account's agent, and how is it to behave?"""


class AskProfile(Op, frozen=True, kw_only=True):
    """Who is the account?"""


class Activate(Op, frozen=True, kw_only=True):
    """Pair the account."""

    code: _Name

    def __repr__(self) -> str:
        return f"Activate(id={self.id!r})"


class AskRefresh(Op, frozen=True, kw_only=True):
    """Get a fresh token now."""


class Logout(Op, frozen=True, kw_only=True):
    """Forget the tokens."""


class Resume(Op, frozen=True, kw_only=True):
    """Dial again, after the link gave up on its own."""


class AskStatus(Op, frozen=True, kw_only=True):
    """How is it going?"""


class AskHistory(Op, frozen=True, kw_only=True):
    """What happened so far? The newest ``limit`` rows."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class StopNow(Op, frozen=True, kw_only=True):
    """End."""


OPS: Final[dict[str, type[Op]]] = {
    "send": Send,
    "post": Post,
    "typing": SetTyping,
    "handled": Handle,
    "rest": Rest,
    "conversation": AskConversation,
    "agent": AskAgent,
    "profile": AskProfile,
    "activate": Activate,
    "refresh": AskRefresh,
    "logout": Logout,
    "resume": Resume,
    "status": AskStatus,
    "history": AskHistory,
    "stop": StopNow,
}


class Malformed(Exception):
    """A line that is no operation. ``op`` is a known one's name, or None. The text quotes no value of the line."""

    def __init__(self, problem: str, id: Id | None = None, op: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.id = id
        self.op = op


class _Head(msgspec.Struct, frozen=True):
    op: Any = None
    id: Id | None = None


_HEAD: Final = msgspec.json.Decoder(_Head)
_DECODERS: Final = {name: msgspec.json.Decoder(form) for name, form in OPS.items()}


def read_op(line: bytes) -> tuple[str, Op]:
    """The operation of a line, and its name.

    Raises:
        Malformed: it is none.
    """
    head: _Head = _decoded(_HEAD, line)
    if not isinstance(head.op, str) or head.op not in OPS:
        raise Malformed(f"unknown op; there are: {', '.join(OPS)}", head.id)
    try:
        return head.op, _decoded(_DECODERS[head.op], line)
    except Malformed as error:
        raise Malformed(error.problem, head.id, head.op) from None


def _decoded(decoder: Any, line: bytes) -> Any:
    try:
        return decoder.decode(line)
    except msgspec.ValidationError as error:  # Names fields and types, never values.
        raise Malformed(f"not an operation: {error}") from None
    except (ValueError, RecursionError):
        raise Malformed("not a line of JSON in UTF-8") from None
