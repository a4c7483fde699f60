"""The configuration as a file: read strictly, changed with its comments kept, written whole or not at all.

Whoever edits the file by hand is noticed (`changed`); a file that cannot be read leaves in force what was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Table

from vljepa_runtime import InputError
from vljepa_runtime.files import read_record, replace_file
from vljepa_serve.config.records import Config
from vljepa_serve.errors import ConfigError

__all__ = ["ConfigFile", "read_config"]

MAX_BYTES = 1 << 20
HEADER = "# What vljepa serve watches and keeps. The page writes it too; comments stay.\n"


def read_config(text: str) -> Config:
    """Read a configuration.

    Raises:
        ConfigError: it is no TOML, or says what cannot be.

    Examples:
        >>> from vljepa_serve.config import read_config
        >>> read_config('[model]\\nbundle = "tiny"\\nengin = "cpu"')
        Traceback (most recent call last):
        vljepa_serve.errors.ConfigError: model: unknown keys engin, did you mean 'engine'?; known: bundle, engine, ...
    """
    return _checked(_parsed(text))


def _parsed(text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except (TOMLKitError, ValueError, RecursionError) as error:
        raise ConfigError(f"expected TOML: {error}") from error


def _checked(document: tomlkit.TOMLDocument) -> Config:
    try:
        return read_record(Config, document.unwrap(), "", error=InputError)
    except InputError as error:
        sentence = str(error).removeprefix(": ")
        raise ConfigError(sentence, field=sentence.split(":", 1)[0] or None) from error


class ConfigFile:
    """One file and what it says now. Methods may be called from several threads.

    Args:
        path: The file; where there is none it is written with the first change.

    Attributes:
        config: What is in force.
        problem: Why the file as it is now is not, empty where it is.

    Examples:
        >>> from vljepa_serve.config import ConfigFile
        >>> file = ConfigFile("serve.toml")
        >>> _ = file.put("camera", {"id": "door", "name": "Door", "source": "0"})
        >>> _ = file.put("camera", {"id": "door", "on": False})
        >>> ConfigFile("serve.toml").config.camera[0].on
        False
        >>> file.remove("camera", "door").camera
        ()
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.problem = ""
        self._lock = threading.RLock()
        self._document = tomlkit.parse(HEADER)
        self.config = Config()
        self._seen = self._stamp()
        if self._seen is not None:
            self._document = _parsed(self._read())
            self.config = _checked(self._document)

    def changed(self) -> bool:
        """Look whether somebody else changed the file; take it over if it says what can be."""
        with self._lock:
            stamp = self._stamp()
            if stamp == self._seen or stamp is None:
                return False
            self._seen = stamp
            try:
                document = _parsed(self._read())
                config = _checked(document)
            except ConfigError as error:
                self.problem = f"{self.path.name} is not in force, what was before goes on: {error}"
                return False
            different, self.problem = config != self.config, ""
            self._document, self.config = document, config
            return different

    def set(self, section: str, values: Mapping[str, Any]) -> Config:
        """Change values of a section such as `log`; None removes one.

        Raises:
            ConfigError: the result is not what a configuration has to be; the old one stays.
        """

        return self.set_all({section: values})

    def set_all(
        self,
        sections: Mapping[str, Mapping[str, Any]],
        entries: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    ) -> Config:
        """The same of several sections, all or none.

        Args:
            sections: Values by section.
            entries: What takes the place of all entries of a kind, such as `sink`, whose entries have no id.
        """

        def edit(document: tomlkit.TOMLDocument) -> None:
            for section, values in sections.items():
                if not isinstance(document.get(section), Table):
                    document[section] = tomlkit.table()
                _merge(document[section], values)
            for kind, others in (entries or {}).items():
                document.pop(kind, None)
                for values in others:
                    row = tomlkit.table()
                    _merge(row, values)
                    _entries(document, kind).append(row)

        return self._change(edit)

    def put(self, kind: str, values: Mapping[str, Any]) -> Config:
        """Add an entry of `camera`, `alert`, `states`, or change the one with the same `id`."""

        def edit(document: tomlkit.TOMLDocument) -> None:
            entries = _entries(document, kind)
            found = next((each for each in entries if each.get("id") == values["id"]), None)
            if found is None:
                found = tomlkit.table()
                entries.append(found)
            _merge(found, values)

        return self._change(edit)

    def remove(self, kind: str, id: str) -> Config:
        """Take an entry out, and out of the `cameras` of others where it is a camera."""

        def edit(document: tomlkit.TOMLDocument) -> None:
            entries = _entries(document, kind)
            for index in reversed([i for i, each in enumerate(entries) if each.get("id") == id]):
                del entries[index]
            if not len(entries):
                del document[kind]
            if kind == "camera":
                for other in ("alert", "states"):
                    for each in document.get(other, ()):
                        if id in (cameras := each.get("cameras", ())):
                            each["cameras"] = [camera for camera in cameras if camera != id]

        return self._change(edit)

    def _change(self, edit: Callable[[tomlkit.TOMLDocument], None]) -> Config:
        """Edit a copy, see that it can be, write it, and only then let it be in force."""
        with self._lock:
            self.changed()  # what somebody else wrote meanwhile stays
            if self.problem:
                raise ConfigError(f"{self.problem}; put that right first")
            document = tomlkit.parse(tomlkit.dumps(self._document))
            try:
                edit(document)
                text = tomlkit.dumps(document)
            except (TOMLKitError, ValueError, TypeError) as error:
                raise ConfigError(f"expected values that TOML can say: {error}") from error
            config = read_config(text)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self.path, text.encode())
            self._document, self.config, self._seen = document, config, self._stamp()
            return config

    def _read(self) -> str:
        try:
            with self.path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
            if len(content) > MAX_BYTES:
                raise ValueError(f"it has more than {MAX_BYTES >> 20} MiB")
            return content.decode("utf-8-sig")
        except (OSError, ValueError) as error:
            raise ConfigError(f"expected a configuration, cannot read {self.path}: {error}") from error

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


def _entries(document: tomlkit.TOMLDocument, kind: str) -> AoT:
    found = document.get(kind)
    if isinstance(found, AoT):
        return found
    made = tomlkit.aot()
    for values in found or ():  # written as one list
        row = tomlkit.table()
        _merge(row, values)
        made.append(row)
    document.pop(kind, None)
    document[kind] = made
    return made


def _merge(table: Any, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if value is None:
            table.pop(key, None)
        elif table.get(key) != value:
            table[key] = list(value) if isinstance(value, tuple) else value
