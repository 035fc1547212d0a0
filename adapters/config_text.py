"""Configuration texts that keep what is not ours: parsed, changed in one table, written back."""

import json
import re
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from .errors import ConfigError

Table = MutableMapping[str, Any]


class Document(Protocol):
    """A parsed configuration."""

    def table(self, section: Sequence[str], *, create: bool) -> Table | None:
        """The table of a section, to read and to change. None where it is missing and not to be made.

        Raises:
            ConfigError: something on the way is not a table.
        """
        ...

    def dump(self) -> str:
        """The text with the changes."""
        ...


class JsonDocument:
    """Keeps the keys' order, the indentation and the line ends. Numbers keep their value, not their spelling."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text
        try:
            self._root: Any = json.loads(text, object_pairs_hook=_without_duplicates) if text.strip() else {}
        except json.JSONDecodeError as error:
            # Without its cause, which carries the whole text and so the tokens.
            raise _broken(path, error.lineno, "is not valid JSON") from None
        except (ValueError, RecursionError):
            raise _broken(path, None, "has a key twice or is nested too deep") from None

    def table(self, section: Sequence[str], *, create: bool) -> Table | None:
        """See :class:`Document`."""
        return _descend(self._path, self._root, section, create=create)

    def dump(self) -> str:
        """See :class:`Document`."""
        indent = re.match(r"\s*\{[ \t]*\r?\n([ \t]+)", self._text)
        one_line = bool(self._text.strip()) and "\n" not in self._text.strip()
        text = json.dumps(
            self._root, indent=indent[1] if indent else None if one_line else 2, ensure_ascii=self._text.isascii()
        )
        text = text if self._text and not self._text.endswith("\n") else f"{text}\n"
        return text.replace("\n", "\r\n") if "\r\n" in self._text else text  # Line breaks in strings are escaped.


class _TomlDocument:
    def __init__(self, path: Path, root: Any) -> None:
        self._path = path
        self._root = root

    def table(self, section: Sequence[str], *, create: bool) -> Table | None:
        return _descend(self._path, self._root, section, create=create)

    def dump(self) -> str:
        return cast(str, self._root.as_string())


def open_toml(path: Path, text: str) -> Document:
    """A TOML text with its comments, blanks and order. Needs the ``cli`` extra.

    Raises:
        ConfigError: it is no TOML, or ``tomlkit`` is not installed.
    """
    try:
        import tomlkit
        from tomlkit.exceptions import ParseError, TOMLKitError
    except ImportError:
        raise ConfigError(str(path), "TOML needs an extra: pip install 'holdfast[cli]'") from None
    try:
        return _TomlDocument(path, tomlkit.parse(text))
    except ParseError as error:
        raise _broken(path, error.line, "is not valid TOML") from None
    except (TOMLKitError, ValueError, RecursionError):
        raise _broken(path, None, "is not valid TOML") from None


def _descend(path: Path, root: Any, section: Sequence[str], *, create: bool) -> Table | None:
    table: Any = root
    for depth in range(len(section) + 1):
        if not isinstance(table, MutableMapping):
            name = ".".join(section[:depth]) or "the top level"
            raise ConfigError(str(path), f"{name} is not a table; nothing was changed, correct the file")
        if depth == len(section):
            break
        if section[depth] not in table:
            if not create:
                return None
            table[section[depth]] = {}
        table = cast(Table, table)[section[depth]]
    return cast(Table, table)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key occurs twice, and writing the file back would lose one of the two")
    return table


def _broken(path: Path, line: int | None, problem: str) -> ConfigError:
    where = str(path) if line is None else f"{path}, line {line}"
    return ConfigError(where, f"{problem}; nothing was changed, correct the file")
