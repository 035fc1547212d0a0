"""A copy of the tokens in a JSON or TOML configuration that the user owns: only two keys of it are ours (S0-22).

The store is what counts; this is a best-effort mirror of it (V01), and a source of a first pair (S0-06).
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .config_text import Document, JsonDocument, open_toml
from .errors import ConfigError, StoreUnavailable
from .files import make_private_folder, replace_file
from .vault import TokenPair, token_pair

ACCESS_KEY: Final = "token"
REFRESH_KEY: Final = "refreshToken"


class ConfigMirror:
    """The keys ``token`` and ``refreshToken`` of one section of the ``.json`` or ``.toml`` file at ``path``.

    Everything else keeps its place: other keys, their order, and in TOML each comment and blank. A write replaces the
    file at once or not at all, keeps its mode, and follows a symbolic link. ``section`` is the way to the table, as in
    ``("channels", "clawchat")``.

    All methods raise :class:`ConfigError` for a file that cannot be understood, which is then left as it is, and
    :class:`StoreUnavailable` for one that cannot be read or replaced.
    """

    def __init__(self, path: str | os.PathLike[str], section: Sequence[str]) -> None:
        self._path = Path(path)
        if isinstance(section, str):  # would be taken letter by letter
            raise ConfigError("section", f"is one text; give its keys one by one, such as {tuple(section.split('.'))}")
        self._section = tuple(section)
        if self._path.suffix not in (".json", ".toml"):
            raise ConfigError(str(self._path), "must be a .json or a .toml file")

    def __repr__(self) -> str:
        return f"ConfigMirror({str(self._path)!r}, {self._section!r})"

    def read(self) -> TokenPair | None:
        """The pair of the section: trimmed, blank is none (S0-06). None also without the file."""
        text = self._text()
        table = None if text is None else self._parse(text).table(self._section, create=False)
        if table is None:
            return None
        access, refresh = table.get(ACCESS_KEY), table.get(REFRESH_KEY)
        try:
            return token_pair(self._as_text(access), self._as_text(refresh))
        except ValueError:
            raise ConfigError(str(self._path), f"{self._name}: {ACCESS_KEY} or {REFRESH_KEY} is no token") from None

    def write(self, pair: TokenPair) -> None:
        """Put a pair in, of which nothing is left out. Makes a missing file, mode 0600.

        A refresh token that the pair does not have is blanked, since the one that is there belongs to another pair. An
        answer without one was completed before (P08), where it was stored.
        """
        self._put(self._text() or "", {ACCESS_KEY: pair.access, REFRESH_KEY: pair.refresh or ""}, create=True)

    def blank(self) -> None:
        """Set both keys to ``""`` after a logout (S0-45). A missing file or section stays missing."""
        text = self._text()
        if text is not None:
            self._put(text, {ACCESS_KEY: "", REFRESH_KEY: ""}, create=False)

    @property
    def _name(self) -> str:
        return ".".join(self._section) or "the top level"

    def _as_text(self, value: object) -> str | None:
        if value is not None and not isinstance(value, str):
            raise ConfigError(str(self._path), f"{self._name}: {ACCESS_KEY} and {REFRESH_KEY} must be text")
        return value

    def _put(self, text: str, values: dict[str, str], *, create: bool) -> None:
        document = self._parse(text)
        table = document.table(self._section, create=create)
        if table is None or all(table.get(key) == value for key, value in values.items()):
            return
        for key, value in values.items():
            table[key] = value
        self._replace(document.dump())

    def _parse(self, text: str) -> Document:
        return open_toml(self._path, text) if self._path.suffix == ".toml" else JsonDocument(self._path, text)

    def _text(self) -> str | None:
        try:
            return self._path.read_bytes().decode()
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            raise ConfigError(str(self._path), "is not UTF-8; nothing was changed") from None
        except OSError as error:
            raise self._unavailable(error) from error

    def _replace(self, text: str) -> None:
        try:
            target = self._path.resolve()
            make_private_folder(target.parent)
            replace_file(target, text.encode())
        except OSError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: OSError) -> StoreUnavailable:
        problem = f"{error.strerror or error}; check the path, its permissions and the free space"
        return StoreUnavailable(self._path, problem)
