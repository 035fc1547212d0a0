"""The public page of the rules, the charts and the tests agree."""

from .rules import FAMILIES, KNOWN, PLACES, charted, claimed, listed, named, named_in, reasons


def test_every_claimed_rule_is_named_by_a_test() -> None:
    missing = sorted(claimed() - set(named()))
    assert not missing, f"docs/rules.md claims {missing}, and no test names them"


def test_every_rule_that_a_test_names_exists() -> None:
    unknown = {rule: files for rule, files in named().items() if rule not in KNOWN}
    assert not unknown


def test_every_rule_that_the_chart_names_is_on_the_page() -> None:
    unknown = {rule: rows for rule, rows in charted().items() if rule not in listed()}
    assert not unknown


def test_the_page_says_chart_where_a_row_carries_the_rule_out_and_only_there() -> None:
    on_page = {rule for rule, place in listed().items() if place == "chart"}
    assert on_page == set(charted())


def test_the_page_has_every_rule_of_the_account_once_and_in_order() -> None:
    page = list(listed())
    for family, count in (("S0-", FAMILIES["S0-"]), ("S1-", FAMILIES["S1-"]), ("V", 24)):
        of_family = [rule for rule in page if rule.startswith(family)]
        assert of_family[:count] == [f"{family}{number:02}" for number in range(1, count + 1)]
    assert set(page) <= KNOWN
    assert set(listed().values()) <= set(PLACES)


def test_no_rule_of_one_account_is_left_out() -> None:
    promises = {f"P{number:02}" for number in (*range(1, 48), *range(56, 61))}
    wanted = {rule for rule in KNOWN if rule.startswith(("S0-", "S1-"))} | {f"V{n:02}" for n in range(1, 25)} | promises
    places = listed()
    assert wanted <= set(places)
    without = {rule for rule in wanted if places[rule] == "none"}
    assert sorted(wanted - without - set(named())) == []
    assert all(len(reason) > 10 for reason in reasons().values())


def test_markers_are_found_wherever_they_stand() -> None:
    source = 'import pytest as p\n@p.mark.rule("V01", "V02")\ndef t(): ...\nx = p.param(1, marks=p.mark.rule("V03"))'
    assert named_in(source) == ["V01", "V02", "V03"]
