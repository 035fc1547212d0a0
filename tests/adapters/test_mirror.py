"""The configuration mirror: two keys change, all else stays, and a broken file is never made worse."""

import json
import os
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.adapters import ConfigError, ConfigMirror, StoreUnavailable, TokenPair

SECTION = ("channels", "clawchat")
PAIR = TokenPair("access-s3cret", "refresh-s3cret")

JSON = """{
    "name": "Zoë",
    "channels": {
        "other": {"token": "not ours"},
        "clawchat": {
            "enabled": true,
            "token": "old",
            "refreshToken": "old",
            "retries": 3
        }
    },
    "last": [1, 2.5, null]
}
"""

TOML = """# The gateway's settings.
name = "Zoë"   # who

[channels.other]
token = "not ours"

[channels.clawchat]
enabled = true
token = "old"         # do not share
refreshToken = 'old'

[last]
when = 2026-11-21T13:00:00Z
"""


def put(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def section_of(path: Path) -> object:
    text = path.read_text("utf-8")
    config = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    return config["channels"]["clawchat"]


@pytest.fixture(params=[("config.json", JSON), ("config.toml", TOML)], ids=["json", "toml"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    name, text = request.param
    return put(tmp_path / name, text)


@pytest.mark.rule("S0-22")
def test_only_the_two_values_change(path: Path) -> None:
    before = path.read_text("utf-8")
    ConfigMirror(path, SECTION).write(PAIR)
    expected = before.replace('"old"', '"access-s3cret"', 1)
    expected = expected.replace('"old"', '"refresh-s3cret"').replace("'old'", '"refresh-s3cret"')
    if path.suffix == ".json":  # JSON keeps the indentation and spreads what stood on one line.
        expected = json.dumps(json.loads(expected), indent=4, ensure_ascii=False) + "\n"
    assert path.read_text("utf-8") == expected


@pytest.mark.rule("S0-22", "S0-45")
def test_blanking_sets_both_to_nothing_and_keeps_the_rest(path: Path) -> None:
    mirror = ConfigMirror(path, SECTION)
    mirror.blank()
    section = section_of(path)
    assert isinstance(section, dict)
    assert (section["token"], section["refreshToken"], section["enabled"]) == ("", "", True)
    assert mirror.read() is None


@pytest.mark.rule("S0-06")
def test_reading_trims_and_takes_blank_as_none(tmp_path: Path) -> None:
    path = put(tmp_path / "c.json", '{"token": "  a ", "refreshToken": " "}')
    assert ConfigMirror(path, ()).read() == TokenPair("a", None)
    put(path, '{"token": " ", "refreshToken": "r"}')
    assert ConfigMirror(path, ()).read() is None
    put(path, "{}")
    assert ConfigMirror(path, SECTION).read() is None
    assert ConfigMirror(tmp_path / "missing.json", SECTION).read() is None


@pytest.mark.rule("S0-22")
def test_a_pair_without_refresh_token_does_not_keep_that_of_another_pair(path: Path) -> None:
    mirror = ConfigMirror(path, SECTION)
    mirror.write(TokenPair("access-new"))
    assert mirror.read() == TokenPair("access-new", None)
    assert "old" not in path.read_text("utf-8").split("clawchat")[1]


@pytest.mark.parametrize("name", ["c.json", "c.toml"])
def test_a_missing_file_is_made_private_on_writing_and_not_on_blanking(tmp_path: Path, name: str) -> None:
    mirror = ConfigMirror(tmp_path / "new" / name, SECTION)
    mirror.blank()
    assert not (tmp_path / "new").exists()
    mirror.write(PAIR)
    assert mirror.read() == PAIR
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "new" / name).stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["c.json", "c.toml"])
def test_a_missing_section_is_made_on_writing_and_not_on_blanking(tmp_path: Path, name: str) -> None:
    path = put(tmp_path / name, '{"a": 1}' if name == "c.json" else "a = 1\n")
    mirror = ConfigMirror(path, SECTION)
    before = path.read_bytes()
    mirror.blank()
    assert path.read_bytes() == before
    mirror.write(PAIR)
    assert mirror.read() == PAIR
    assert b'"a": 1' in path.read_bytes() or b"a = 1\n" in path.read_bytes()


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX modes and links")
def test_the_mode_stays_and_a_link_stays_a_link(path: Path, tmp_path: Path) -> None:
    path.chmod(0o640)
    link = tmp_path / f"link{path.suffix}"
    link.symlink_to(path)
    ConfigMirror(link, SECTION).write(PAIR)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert ConfigMirror(path, SECTION).read() == PAIR
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([path.name, link.name])


def test_writing_what_is_there_already_leaves_the_file_alone(path: Path) -> None:
    mirror = ConfigMirror(path, SECTION)
    mirror.write(PAIR)
    before = path.stat().st_ino
    mirror.write(PAIR)
    assert path.stat().st_ino == before


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("c.json", '{\n "token": "s3cret",\n oops\n}', "c.json, line 3"),
        ("c.json", '{"token": "s3cret", "token": "s3cret"}', "c.json"),
        ("c.json", "[" * 100_000, "c.json"),
        ("c.json", '["s3cret"]', "the top level is not a table"),
        ("c.json", '{"channels": "s3cret"}', "channels is not a table"),
        ("c.json", '{"channels": {"clawchat": []}}', "channels.clawchat is not a table"),
        ("c.json", '// settings\n{"token": "s3cret"}', "c.json, line 1"),
        ("c.toml", 'a = 1\ntoken = "s3cret\n', "c.toml, line 2"),
        ("c.toml", 'token = "s3cret"\ntoken = "s3cret"\n', "c.toml"),
        ("c.toml", 'channels = "s3cret"\n', "channels is not a table"),
    ],
)
def test_a_broken_file_is_named_and_left_as_it_is(tmp_path: Path, name: str, text: str, where: str) -> None:
    path = put(tmp_path / name, text)
    mirror = ConfigMirror(path, SECTION)
    calls: list[Callable[[], object]] = [mirror.read, lambda: mirror.write(PAIR), mirror.blank]
    for call in calls:
        with pytest.raises(ConfigError) as caught:
            call()
        assert where in str(caught.value)
        assert "s3cret" not in str(caught.value) + repr(caught.value.__cause__)
    assert path.read_bytes() == text.encode()
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("value", ["5", "[]", '"two\\nlines"'])
def test_a_token_that_is_none_is_a_configuration_error(tmp_path: Path, value: str) -> None:
    path = put(tmp_path / "c.json", f'{{"token": {value}}}')
    with pytest.raises(ConfigError):
        ConfigMirror(path, ()).read()


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(b'{"token": "s3cret\xff"}')
    with pytest.raises(ConfigError, match="UTF-8"):
        ConfigMirror(path, ()).write(PAIR)


def test_only_json_and_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.json or a \.toml"):
        ConfigMirror(tmp_path / "config.yaml", ())


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "c.json").mkdir()
    mirror = ConfigMirror(tmp_path / "c.json", ())
    with pytest.raises(StoreUnavailable):
        mirror.read()


@pytest.mark.rule("V01")
def test_a_write_that_fails_half_way_leaves_the_old_file_and_no_litter(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreUnavailable, match="No space left"):
            ConfigMirror(path, SECTION).write(PAIR)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("text", ['{"a":1}', '{"a":1}\n', '{\n\t"a": 1\n}', '{\r\n  "a": 1\r\n}\r\n', ""])
def test_the_shape_of_the_json_stays(tmp_path: Path, text: str) -> None:
    path = put(tmp_path / "c.json", text)
    ConfigMirror(path, ()).write(TokenPair("t"))
    after = path.read_bytes().decode()
    assert after.endswith("\n") == (text == "" or text.endswith("\n"))
    assert ("\r\n" in after) == ("\r\n" in text)
    assert ("\n\t" in after) == ("\n\t" in text)
    assert ("\n" in after.strip()) == (text == "" or "\n" in text.strip())


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8"))
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner), max_leaves=8)


@pytest.mark.rule("S0-22")
@given(config=st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), TREES), ascii_only=st.booleans())
def test_any_other_key_of_any_json_stays(
    config: dict[str, object], ascii_only: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    config["channels"] = {"clawchat": {"enabled": True}}
    try:
        text = json.dumps(config, ensure_ascii=ascii_only)
        path.write_bytes(text.encode())
    except UnicodeEncodeError:
        return
    ConfigMirror(path, SECTION).write(PAIR)
    config["channels"] = {"clawchat": {"enabled": True, "token": PAIR.access, "refreshToken": PAIR.refresh}}
    after = json.loads(path.read_bytes())
    assert after == config
    assert list(after) == list(config)


def test_a_section_in_one_text_is_refused_with_what_to_give_instead(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\('channels', 'clawchat'\)"):
        ConfigMirror(tmp_path / "c.json", "channels.clawchat")
