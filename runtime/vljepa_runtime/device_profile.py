"""How a bundle is run on one device: engine, threads, token policy, stride, selection, as `vljepa tune` found them.

Read strictly from JSON. How the settings are found, `vljepa_apps.measure.tune` knows.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from vljepa_runtime.arguments import path as checked_path
from vljepa_runtime.bundle import Manifest, fingerprint_of
from vljepa_runtime.errors import InputError
from vljepa_runtime.files import AtMost, check_record, plain, read_document, replace_file
from vljepa_runtime.files.values import Name, Positive, PositiveNumber, Text, shown, string, within
from vljepa_runtime.preprocessing import parse_tokens
from vljepa_runtime.printable import json_text
from vljepa_runtime.selection import OnlineSelection

if TYPE_CHECKING:
    from vljepa_runtime.model import Model

__all__ = ["DeviceProfile", "TunedSelection"]

VERSION = 1
MAX_BYTES = 1 << 20  # one has 2 kB
MAX_THREADS = 1024
MAX_STRIDE_S = 3600.0
MAX_CARRY_S = 86_400.0
AGAIN = "write it with vljepa tune"


def _tokens(value: object, where: str) -> str:
    found = string(value, where)
    parse_tokens(found)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedSelection:
    """How sensitive causal selection is, for a wanted number of decodings; one of the two limits is given.

    Attributes:
        query: What the windows were asked.
        threshold: See `OnlineSelection`; where selection goes by distances.
        boundary: See `OnlineSelection`; where the bundle's own network sees boundaries.
        per_minute: Decodings a minute that were wanted.
        found_per_minute: Decodings a minute that it gave on the recording.

    Raises:
        InputError: neither of the limits is given, or both.
    """

    query: Text
    threshold: Annotated[float, within(1e-6, 2, "a cosine distance")] | None = None
    boundary: Annotated[float, within(1e-6, 1 - 1e-6, "a probability")] | None = None
    per_minute: PositiveNumber
    found_per_minute: Annotated[float, within(0, 1e6, "decodings a minute")]

    def __post_init__(self) -> None:
        check_record(self, error=InputError)
        if (self.threshold is None) == (self.boundary is None):
            raise InputError("expected either threshold or boundary of a selection, and not both")

    def policy(self, model: Model, *, stride_s: float) -> OnlineSelection:
        """The policy of a session whose windows are so far apart.

        Raises:
            InputError: it goes by the probability of a network that the model has not for such windows.
        """
        if self.threshold is not None:
            return OnlineSelection(threshold=self.threshold)
        nets = model.boundaries.nets_of(self.query) if model.boundaries is not None else ()
        if self.boundary is None or not any(net.fits(stride_s) for net in nets):
            raise InputError(
                f"the profile's selection goes by a boundary network for windows {stride_s:g} s apart, and "
                f"{model.bundle.name} has none: tune again (vljepa tune --select), or choose with --select"
            )
        return OnlineSelection(boundaries=nets, boundary=self.boundary)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceProfile:
    """How one bundle is run on one device.

    Attributes:
        bundle: The bundle's name.
        fingerprint: Of all its files, see `bundle.fingerprint_of`: another precision of the same model is another.
        device: What was tuned on, by name: processor, cores, engine, its version.
        engine: See `vljepa_runtime.load`.
        threads: The same.
        stride_s: See `Session`.
        tokens: The same.
        carry_s: The same.
        decode: The same; `always` is nothing that a device decides.
        selection: Found for a wanted number of decodings; None leaves the session's default.
        wanted: What had to be kept, by name: windows a second, milliseconds, points.
        measured: What these settings gave, by name.
        v: Version of this layout.

    Raises:
        InputError: a value is out of its bounds.

    Examples:
        >>> import vljepa_runtime as vj
        >>> from vljepa_runtime.bundle import fingerprint_of
        >>> manifest = vj.load("tiny").bundle.manifest
        >>> profile = vj.DeviceProfile(
        ...     bundle="tiny", fingerprint=fingerprint_of(manifest), engine="onnxruntime:cpu", threads=1, stride_s=0.5,
        ...     selection=vj.TunedSelection(query="What?", threshold=0.1, per_minute=6, found_per_minute=5.8),
        ... )
        >>> profile.save("profile.json")
        >>> profile = vj.DeviceProfile.read("profile.json")
        >>> profile.require(manifest)
        >>> model = vj.load("tiny", engine=profile.engine, threads=profile.threads)
        >>> with model.session(**profile.session_options(model, query="What?")) as session:
        ...     events = list(session.run("clip.mp4"))
        >>> session.stats.windows, profile.selection.policy(model, stride_s=0.5).threshold
        (9, 0.1)
    """

    bundle: Name
    fingerprint: Name
    device: Mapping[Name, Text] = field(default_factory=dict)
    engine: Name = "auto"
    threads: Annotated[Positive, AtMost(MAX_THREADS)] | None = None
    stride_s: Annotated[float, within(1e-3, MAX_STRIDE_S, "seconds")] = 1.0
    tokens: Annotated[str, _tokens] = "all"
    carry_s: Annotated[float, within(0, MAX_CARRY_S, "seconds")] = 0.0
    decode: Literal["auto", "never"] = "auto"
    selection: TunedSelection | None = None
    wanted: Mapping[Name, float] = field(default_factory=dict)
    measured: Mapping[Name, float] = field(default_factory=dict)
    v: Positive = VERSION

    def __post_init__(self) -> None:
        check_record(self, error=InputError)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> DeviceProfile:
        """Read what `save` wrote.

        Raises:
            InputError: it is not there, is no such file, or says what cannot be.
        """
        try:
            with checked_path(path, "path").open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            raise InputError(f"expected a profile, cannot read {path}: {error}: {AGAIN}") from error
        return cls.from_json(data, where=os.fspath(path))

    @classmethod
    def from_json(cls, data: bytes | str, *, where: str = "profile") -> DeviceProfile:
        """Read what `to_json` wrote; `where` names it in messages.

        Raises:
            InputError: it is not JSON, of another version, or has unknown, missing or impossible values.
        """
        return read_document(
            cls, data, where, what="a profile", version=VERSION, most=MAX_BYTES, advice=AGAIN
        )

    def to_json(self) -> str:
        """One JSON document."""
        found = plain(self)
        return json_text({"v": found.pop("v"), **found}, indent=2)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, or replace it, in one step."""
        replace_file(Path(path), self.to_json().encode() + b"\n")

    def require(self, manifest: Manifest) -> None:
        """See that it is of this bundle.

        Raises:
            InputError: it is of another one.
        """
        if self.fingerprint != fingerprint_of(manifest):
            raise InputError(
                f"this profile is of another bundle: expected {shown(self.bundle)} with the files it was tuned "
                f"with, got {shown(manifest.name)}: name that bundle, or tune this one (vljepa tune)"
            )

    def other_device(self, device: Mapping[str, str]) -> str:
        """One sentence where it was tuned on something else than `device`; empty where all that both know is equal."""
        names = [name for name in self.device if name in device and self.device[name] != device[name]]
        told = ", ".join(f"{name} {self.device[name]} (here {device[name]})" for name in names)
        return (
            f"the profile was tuned on another device: {told}: its times may not hold here, tune again"
            if told
            else ""
        )

    def session_options(self, model: Model, *, query: str | None = None) -> dict[str, Any]:
        """What a session of the model is made with: `model.session(**options)`.

        Args:
            model: That the profile is of.
            query: What will be asked; None is the bundle's caption prompt. Selection was tuned for one query, and is
                left out for another.

        Raises:
            InputError: the selection goes by a network that the model has not.
        """
        options: dict[str, Any] = {"stride_s": self.stride_s, "tokens": self.tokens, "carry_s": self.carry_s}
        options |= {"decode": self.decode, "query": query}
        asked = model.prompts.get("caption") if query is None else query
        if self.selection is not None and self.selection.query == asked:
            options["select"] = self.selection.policy(model, stride_s=self.stride_s)
        return options
