"""What the machine's rules draw. Weighted by repetition, the usual first: Hypothesis shrinks towards it."""

from collections.abc import Callable

from hypothesis import strategies as st

from holdfast.engine import Event
from holdfast.statecharts import FrameReceived, FrameRejected, HelloAccepted, HelloRefused, ReplayFinished

from .mail import Mode, Treatment

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0

LIVES = st.sampled_from((2 * HOUR, DAY, 31 * MINUTE, 2 * HOUR, DAY, 90.0, 1.0, 0.0, 3650 * DAY))
MOSTLY = st.sampled_from((True, True, True, False))
DISKS = st.sampled_from(((False, False), (False, False), (True, False), (False, True), (True, True)))
CHANCES = st.sampled_from((0.0, 0.5, 0.999))
CODES = st.sampled_from((1000, 1001, 1005, 1006, 4001, 4003, 1009))
SPANS = st.sampled_from((0.1, 1.0, 7.0, 30.0, 61.0, 400.0))
NAPS = st.sampled_from((20.0, 10 * MINUTE, HOUR, DAY, 40 * DAY))
STEPS_OF_THE_CLOCK = st.sampled_from((-DAY, -HOUR, 40.0, HOUR, DAY))

CHATS = st.sampled_from(("cnv_a", "cnv_b"))
CHATS_OF_SOME = st.lists(CHATS, min_size=1, max_size=3)
TREATMENTS = st.lists(st.sampled_from(Treatment), min_size=1, max_size=3)
SIZES = st.sampled_from((100, 900_000, 1))
LIVES_OF_MESSAGES = st.sampled_from((None, None, 30.0, 1.0, 0.0, HOUR))
MODES: st.SearchStrategy[Mode] = st.sampled_from(("dseq", "seq", ""))
PLACES = st.integers(0, 7)

SAYINGS: dict[str, Callable[[int], Event]] = {
    "a frame": FrameReceived,
    "the end of the replay": ReplayFinished,
    "welcome": HelloAccepted,
    "rubbish": lambda socket: FrameRejected(socket, "not JSON"),
    "token expired": lambda socket: HelloRefused(socket, "token expired"),
    "try again later": lambda socket: HelloRefused(socket, "try again later"),
}
