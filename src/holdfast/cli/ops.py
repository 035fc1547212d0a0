"""What can be asked for on stdin: one JSON object a line, checked before anything is done."""

from typing import Annotated, Any, Final

import msgspec

Id = str | int | float
_Name = Annotated[str, msgspec.Meta(min_length=1)]


class Op(msgspec.Struct, frozen=True, kw_only=True):
    """Something to do. With an ``id`` it is answered by exactly one result."""

    id: Id | None = None


class Send(Op, frozen=True, kw_only=True):
    """Say something."""

    chat_id: _Name
    text: str


class Rest(Op, frozen=True, kw_only=True):
    """Ask the REST service. ``json`` is the body as it came; absent and ``null`` are no body."""

    method: Annotated[str, msgspec.Meta(pattern="^[A-Za-z]{1,20}$")]
    path: Annotated[str, msgspec.Meta(pattern=r"^/(?!/)[!-~]*$")]
    json: msgspec.Raw = msgspec.Raw()

    @property
    def body(self) -> bytes | None:
        """The body to send."""
        body = bytes(self.json)
        return None if body in (b"", b"null") else body


class Activate(Op, frozen=True, kw_only=True):
    """Pair the account."""

    code: _Name

    def __repr__(self) -> str:
        return f"Activate(id={self.id!r})"


class AskStatus(Op, frozen=True, kw_only=True):
    """How is it going?"""


class StopNow(Op, frozen=True, kw_only=True):
    """End."""


OPS: Final[dict[str, type[Op]]] = {
    "send": Send,
    "rest": Rest,
    "activate": Activate,
    "status": AskStatus,
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
