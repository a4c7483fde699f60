"""Whether `bundle.json` still says what it said when its reference was made: a digest per entry.

It guards against edits, not against forgers: whoever can write a bundle can make a reference too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from vljepa_runtime.bundle import Manifest
from vljepa_runtime.files import AtMost
from vljepa_runtime.files.values import Name

__all__ = ["Seal"]

FREE = ("format", "name", "license", "created")
"""Neither change what a bundle does nor say how well it does it: a copy may have its own name."""
MAX_ENTRIES = 2048  # a bundle of five graphs has some 60
MAX_KEY = 512  # characters: the name of a table and of an entry in it
SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What a manifest said, without its words.

    Attributes:
        entries: SHA-256 per entry, named as in `bundle.json`: `preprocess.fps`, `prompts.caption`,
            `files.tokenizer.json`.

    Examples:
        >>> from dataclasses import replace
        >>> from vljepa_evaluation.gates import Seal
        >>> from vljepa_runtime import Bundle
        >>> manifest = Bundle.open("tiny").manifest
        >>> seal = Seal.of(manifest)
        >>> seal.changed(replace(manifest, name="door"))
        ()
        >>> faster = replace(manifest, preprocess=replace(manifest.preprocess, fps=8))
        >>> seal.changed(faster)
        ('preprocess.fps',)
        >>> seal.fault(faster)
        'bundle.json says something else than when its reference was made (preprocess.fps): take the edit back, ...'
    """

    entries: Annotated[Mapping[Annotated[str, AtMost(MAX_KEY)], Name], AtMost(MAX_ENTRIES)]

    @classmethod
    def of(cls, manifest: Manifest) -> Seal:
        """The digests of all that a manifest says of what the bundle does and how well."""
        # Read as it will be: what was made with 1 is read as 1.0.
        said = Manifest.from_dict(manifest.to_dict()).to_dict()
        return cls(entries={name: _digest(value) for name, value in _entries(said)})

    def changed(self, manifest: Manifest) -> tuple[str, ...]:
        """The entries that were edited, added or removed since."""
        now = Seal.of(manifest).entries
        every = dict.fromkeys([*self.entries, *now])
        return tuple(name for name in every if self.entries.get(name) != now.get(name))

    def fault(self, manifest: Manifest) -> str:
        """A sentence that names what was changed; empty when nothing was."""
        changed = self.changed(manifest)
        if not changed:
            return ""
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        return (
            f"bundle.json says something else than when its reference was made ({', '.join(changed[:SHOWN])}{more}): "
            "take the edit back, or export the bundle again"
        )


def _entries(said: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Tables entry by entry, whatever else as a whole."""
    for name, value in said.items():
        if name in FREE:
            continue
        if isinstance(value, Mapping):
            yield from ((f"{name}.{key}", item) for key, item in value.items())
        else:
            yield name, value


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
