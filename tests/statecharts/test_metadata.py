"""Changed metadata: which scope means what, and which versions are stale."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.statecharts import Invalidation, Refetch, newer, plan_refetch

BOTH = Refetch(conversation=True, behavior=True)
CONVERSATION = Refetch(conversation=True)
BEHAVIOR = Refetch(behavior=True)

SCOPES = st.lists(st.sampled_from(["title", "description", "behavior", "no scope we know"]) | st.text(), max_size=5)
VERSIONS = st.none() | st.integers(-2, 2)
INVALIDATIONS = st.builds(
    Invalidation,
    chat_id=st.just("cnv_1"),
    chat_type=st.sampled_from(["direct", "group", ""]) | st.text(),
    scope=SCOPES.map(tuple),
    version=VERSIONS,
)


def of(*scope: str, chat_type: str = "direct", version: int | None = None) -> Invalidation:
    return Invalidation(chat_id="cnv_1", chat_type=chat_type, scope=scope, version=version)


@pytest.mark.rule("S0-59")
def test_no_scope_means_everything_and_a_group_has_no_behavior() -> None:
    assert plan_refetch(of(), None) == BOTH
    assert plan_refetch(of(chat_type="group"), None) == CONVERSATION
    assert plan_refetch(of(chat_type=""), None) == CONVERSATION


@pytest.mark.rule("S0-60")
@pytest.mark.parametrize(
    ("scope", "direct", "group"),
    [
        (("title",), CONVERSATION, CONVERSATION),
        (("description",), CONVERSATION, CONVERSATION),
        (("title", "description"), CONVERSATION, CONVERSATION),
        (("behavior",), BEHAVIOR, None),
        (("no scope we know",), BEHAVIOR, None),
        (("",), BEHAVIOR, None),
        (("Title",), BEHAVIOR, None),
        (("title", "behavior"), BOTH, CONVERSATION),
        (("no scope we know", "description"), BOTH, CONVERSATION),
    ],
)
def test_a_scope_says_what_is_fetched(scope: tuple[str, ...], direct: Refetch, group: Refetch | None) -> None:
    assert plan_refetch(of(*scope), None) == direct
    for chat_type in ("group", "", "channel", "Direct"):
        assert plan_refetch(of(*scope, chat_type=chat_type), None) == group


@pytest.mark.rule("S0-64")
@pytest.mark.parametrize(
    ("version", "seen", "ignored"),
    [
        (1, None, False), (1, 0, False), (1, 1, True), (1, 2, True), (None, 2, False), (None, None, False),
        (0, None, False), (0, 0, True), (-1, 0, True),
    ],
)  # fmt: skip
def test_a_version_that_is_not_newer_is_ignored(version: int | None, seen: int | None, ignored: bool) -> None:
    assert plan_refetch(of(version=version), seen) == (None if ignored else BOTH)


@pytest.mark.rule("S0-60")
@given(INVALIDATIONS, VERSIONS)
def test_nothing_but_a_direct_chat_has_behavior_and_a_plan_is_never_empty(
    invalidation: Invalidation, seen: int | None
) -> None:
    refetch = plan_refetch(invalidation, seen)
    assert refetch != Refetch()
    if refetch is not None and refetch.behavior:
        assert invalidation.chat_type == "direct"


@pytest.mark.rule("S0-64")
@given(INVALIDATIONS, VERSIONS)
def test_the_same_version_means_something_once(invalidation: Invalidation, seen: int | None) -> None:
    seen = newer(invalidation.version, seen)
    if invalidation.version is not None:
        assert plan_refetch(invalidation, seen) is None
    else:
        assert plan_refetch(invalidation, seen) == plan_refetch(invalidation, None)


@given(VERSIONS, VERSIONS)
def test_the_newer_version(one: int | None, other: int | None) -> None:
    known = [version for version in (one, other) if version is not None]
    assert newer(one, other) == max(known, default=None)
