"""The numbers, and what is refused as a number."""

import math
from typing import Any

import pytest

from holdfast.statecharts import SEED, STRICT, Policy


@pytest.mark.rule("S0-01")
def test_the_numbers_of_the_connection() -> None:
    assert (STRICT.rotations_max, STRICT.rotations_window_s) == (3, 300.0)
    assert (STRICT.backoff_base_s, STRICT.backoff_cap_s, STRICT.backoff_jitter) == (1.0, 30.0, 0.5)


@pytest.mark.rule("P31", "P39", "P44")
def test_the_numbers_of_takeovers_waits_and_wakes() -> None:
    assert (STRICT.takeover_codes, STRICT.takeover_floor_s, STRICT.drop_codes) == ((4001,), 10.0, (1005, 1006))
    assert (STRICT.evictions_max, STRICT.evictions_window_s) == (5, 600.0)
    assert (STRICT.retry_after_max_s, STRICT.wake_jump_s) == (3600.0, 30.0)


@pytest.mark.rule("S1-01", "S1-40")
def test_the_numbers_of_the_refresh() -> None:
    assert (STRICT.refresh_interval_s, STRICT.due_jitter_s, STRICT.lifetime_s) == (30.0, 300.0, 86_400.0)
    assert STRICT.permanent_codes == ("10003", "400")
    assert STRICT.classifier == SEED


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dial_s", -1.0),
        ("stable_s", math.nan),
        ("backoff_cap_s", math.inf),
        ("lead_share", 1.5),
        ("slice_s", 0.0),
        ("backoff_base_s", 0.0),
        ("mirror_retry_cap_s", 0.0),
        ("early_share", -0.1),
        ("pong_s", -1.0),
        ("backoff_jitter", 1.5),
    ],
)
def test_a_number_out_of_its_range_is_refused_by_name(name: str, value: float) -> None:
    changes: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=name):
        Policy(**changes)


def test_a_handshake_shorter_than_its_phases_is_refused() -> None:
    with pytest.raises(ValueError, match="handshake_s"):
        Policy(handshake_s=5.0)


def test_a_scale_multiplies_every_duration_and_nothing_else() -> None:
    scaled = STRICT.scaled(2.0)
    for name in Policy.__struct_fields__:
        before, after = getattr(STRICT, name), getattr(scaled, name)
        assert after == (2 * before if name.endswith("_s") else before), name


def test_deadlines_of_input_and_output_keep_a_floor_when_scaled() -> None:
    scaled = STRICT.scaled(0.001)
    assert (scaled.dial_s, scaled.refresh_post_s, scaled.pong_s, scaled.stop_s) == (0.5, 0.5, 0.5, 0.5)
    assert (scaled.backoff_base_s, scaled.refresh_interval_s, scaled.lead_min_s) == (0.001, 0.03, 1.8)


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan, math.inf])
def test_a_scale_that_is_none_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="time scale"):
        STRICT.scaled(factor)
