"""The account chart against a world that does what it likes: messages, both ways."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from holdfast.statecharts import SendRequested, SendWithdrawn

from .desk import Sheet
from .draws import CHATS, CHATS_OF_SOME, CODES, LIVES_OF_MESSAGES, MODES, MOSTLY, PLACES, SIZES, SPANS, TREATMENTS
from .machine import LifeMachine, while_running
from .mail import Mode, Session, Treatment


def in_session(self: "AccountMachine") -> bool:
    """The gateway has a session, and the user lets us read."""
    return while_running(self) and self.world.session is not None and self.world.memory.reading


class AccountMachine(LifeMachine):
    """Plays gateway, network, disk, clock and user, and checks every property after every step.

    Subclass it with a ``policy`` or a ``chart`` of your own, and run its ``TestCase``. At the end of each run all
    faults stop, and the account must come to rest: live, waiting for a person, or stopped. If it is live, whatever was
    sent has its answer then, and whatever the gateway had for it was delivered, handled and acknowledged.
    """

    def _session(self) -> tuple[int, Session]:
        found = self.world.session
        assert found is not None, "excluded by the preconditions"
        return found

    # -- the user ------------------------------------------------------------------------------------------------

    @precondition(while_running)
    @rule(chats=CHATS_OF_SOME, size=SIZES, life=LIVES_OF_MESSAGES, prompt=MOSTLY)
    def user_sends(self, chats: list[str], size: int, life: float | None, prompt: bool) -> None:
        """``prompt``: the message store writes them at once."""
        world = self.world
        for chat in chats:
            trace = f"t{len(world.sheets) + 1}"
            due = None if life is None else world.now + life
            world.sheets[trace] = Sheet(trace, chat, size, len(world.sheets), due)
            self._feed(SendRequested(trace, chat, size, life))
        if prompt:
            self._write_all()

    @precondition(lambda self: while_running(self) and self.properties.ledger.asked)
    @rule(place=PLACES)
    def user_withdraws(self, place: int) -> None:
        asked = sorted(self.properties.ledger.asked)
        self._feed(SendWithdrawn(asked[place % len(asked)]))

    @precondition(lambda self: self.world.memory.desk.unhandled)
    @rule(place=PLACES)
    def user_handles(self, place: int) -> None:
        unhandled = sorted(self.world.memory.desk.unhandled)
        self.world.tell(self.world.memory.desk.handle(unhandled[place % len(unhandled)]))
        self._drain()

    @rule(attentive=st.booleans())
    def user_looks_away(self, attentive: bool) -> None:
        self.world.attentive = attentive

    # -- the message store ---------------------------------------------------------------------------------------

    @precondition(lambda self: self.world.memory.desk.work)
    @rule(broken=st.sampled_from((False, False, True)), span=SPANS)
    def message_store_writes(self, broken: bool, span: float) -> None:
        self._break_drawer(broken, span)
        self._write_all()

    def _write_all(self) -> None:
        desk = self.world.memory.desk
        while desk.work and desk is self.world.memory.desk:
            self.world.write_down()
            self._drain()

    @precondition(while_running)
    @rule(broken=st.booleans(), span=SPANS)
    def message_store_fails(self, broken: bool, span: float) -> None:
        self._break_drawer(broken, span)

    def _break_drawer(self, broken: bool, span: float) -> None:
        self.world.drawer.broken = broken
        self.world.drawer.fails_until = self.world.now + span

    # -- the gateway ---------------------------------------------------------------------------------------------

    @rule(mode=MODES)
    def gateway_numbers(self, mode: Mode) -> None:
        """How the next sessions are numbered."""
        self.world.mailbox.mode = mode

    @rule(chat=CHATS, readable=MOSTLY)
    def somebody_writes(self, chat: str, readable: bool) -> None:
        self.world.post(chat, readable)

    @precondition(in_session)
    @rule(frames=st.integers(1, 4))
    def gateway_sends(self, frames: int) -> None:
        number, session = self._session()
        for _ in range(frames):
            if self.world.session == (number, session):
                self.world.send(number, session)
                self._drain()

    @precondition(lambda self: in_session(self) and self._session()[1].uplink)
    @rule(does=TREATMENTS)
    def gateway_reads(self, does: list[Treatment]) -> None:
        number, session = self._session()
        for each in does:
            if self.world.session == (number, session):
                self.world.receive(number, session, each)
                self._drain()

    @precondition(lambda self: in_session(self) and self._may_lose())
    @rule()
    def gateway_loses_a_frame(self) -> None:
        self.world.lose(self._session()[1])

    def _may_lose(self) -> bool:
        # A frame that could not be read may have had the missing number: which of both it was, nobody can tell.
        session = self._session()[1]
        return session.mode == "dseq" and bool(session.pending) and not self.snapshot.context.gap_allowed

    # -- what could happen step by step, but seldom does --------------------------------------------------------------

    @precondition(in_session)
    @rule(
        chats=CHATS_OF_SOME,
        size=SIZES,
        life=LIVES_OF_MESSAGES,
        does=TREATMENTS,
        code=st.none() | CODES,
        later=TREATMENTS,
    )
    def user_and_gateway_converse(
        self,
        chats: list[str],
        size: int,
        life: float | None,
        does: list[Treatment],
        code: int | None,
        later: list[Treatment],
    ) -> None:
        """Messages are answered, and meanwhile the session may go."""
        self.user_sends(chats, size, life, prompt=True)
        if self.world.session is not None:
            self.gateway_reads(does)
        if self.world.session is not None and code is not None:
            self.socket_closes(code, newest=True)
            self.world_goes_on(12.0, 0.5, well=True)
        if self.world.session is not None:
            self.gateway_reads(later)

    @precondition(in_session)
    @rule(chats=CHATS_OF_SOME, readable=MOSTLY, lost=st.sampled_from((False, False, True)), place=PLACES)
    def letters_come(self, chats: list[str], readable: bool, lost: bool, place: int) -> None:
        """Several, of which one may get lost and one is handled."""
        self.somebody_writes(chats[0], readable)
        if lost and self._may_lose():
            self.gateway_loses_a_frame()
        for chat in chats:
            self.somebody_writes(chat, readable=True)
        self.gateway_sends(len(chats))
        if self.world.memory.desk.unhandled:
            self.user_handles(place)

    # -- in the end ----------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Liveness: no message is left over."""
        if self.sound and hasattr(self, "snapshot"):
            self._be_reliable()
        super().teardown()
        if self.sound and hasattr(self, "snapshot") and self.snapshot.matches("connection/online/live"):
            readable = {letter.number for letter in self.world.mailbox.letters if letter.readable}
            assert readable <= self.world.delivered, f"never delivered: {readable - self.world.delivered}"

    def _be_reliable(self) -> None:
        world = self.world
        world.drawer.broken, world.attentive = False, True
        world.mailbox.mode = world.mailbox.mode or "dseq"
        if world.session is not None and not world.session[1].mode:
            world.drop(world.session[0], 1006)
            self._drain()
        world.post("cnv_a")  # so that a frame that was lost before it is missed

    def at_rest(self) -> bool:
        """Live with nothing to do, waiting for a person, or at the end."""
        account = self.snapshot.context
        if not super().at_rest() or not self.snapshot.matches("connection/online/live"):
            return super().at_rest()
        desk, unacked = self.world.memory.desk, self.world.mailbox.unacked.values()
        return not (account.queue or desk.work or desk.unhandled or any(letter.readable for letter in unacked))
