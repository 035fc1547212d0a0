"""Signals that come again are known again, within bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.adapters import SeenSignals


@pytest.mark.rule("S0-57")
@given(st.lists(st.sampled_from("abcdef")))
def test_each_signal_is_new_once(event_ids: list[str]) -> None:
    seen = SeenSignals()
    assert [each for each in event_ids if seen.is_new(each)] == list(dict.fromkeys(event_ids))


def test_only_the_newest_are_remembered_and_seeing_one_again_makes_it_newer() -> None:
    seen = SeenSignals()
    for number in range(4096):
        assert seen.is_new(str(number))
    assert not seen.is_new("0")
    assert seen.is_new("one too many")
    assert not seen.is_new("0")
    assert seen.is_new("1")
