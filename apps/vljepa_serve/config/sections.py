"""Sections of the configuration, one of each: the server, the model, when words are made, what is kept, heat."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from vljepa_runtime import InputError, OnlineSelection, parse_tokens
from vljepa_runtime.files import AtMost, check_record
from vljepa_runtime.files.values import (
    Name,
    Positive,
    PositiveNumber,
    RecordError,
    Text,
    number,
    within,
    wrong,
)

__all__ = ["LogConfig", "ModelConfig", "Queries", "SelectConfig", "ServerConfig", "ThermalConfig"]

MAX_QUERIES = 8


def _days(value: object, where: str) -> float:
    if not 0 < (found := number(value, where)) <= 3650:
        raise wrong(where, "days above 0, at most 3650", value)
    return found


def _port(value: object, where: str) -> int:
    if type(value) is not int or not 0 <= value < 1 << 16:
        raise wrong(where, "a port from 0 to 65535", value)
    return value


def _tokens(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise wrong(where, "a token policy", value)
    try:
        parse_tokens(value)
    except InputError as error:
        raise RecordError(f"{where}: {error}") from error
    return value


Queries = Annotated[tuple[Text, ...], AtMost(MAX_QUERIES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Where the page is; a change needs a restart.

    Attributes:
        host: Address to listen at.
        port: 0 takes a free one.
        token_file: Holds the token; made where it is not there and one is needed.
        tls_cert: Certificates, PEM.
        tls_key: Its key, PEM.
        names: Host names beside the addresses by which browsers may call it.
    """

    host: Name = "127.0.0.1"
    port: Annotated[int, _port] = 8080
    token_file: Name | None = None
    tls_cert: Name | None = None
    tls_key: Name | None = None
    names: Annotated[tuple[Name, ...], AtMost(32)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """What predicts; a change of bundle, engine or threads needs a restart.

    Attributes:
        bundle: A folder, a file, or a shipped name.
        engine: See `vljepa_runtime.load`.
        threads: Of a CPU; None lets the engine choose.
        queries: What every window of every camera is asked; empty asks the bundle's caption prompt.
        stride_s: Seconds between windows.
        tokens: Which tubelets of a window are encoded; see `vljepa_runtime.parse_tokens`.
        carry_s: For how long a window that shows the same as one before keeps its embedding; 0 encodes all.
    """

    bundle: Name = "tiny"
    engine: Name = "auto"
    threads: Annotated[int, AtMost(1024)] | None = None
    queries: Queries = ()
    stride_s: Annotated[float, within(0.05, 3600, "seconds")] = 1.0
    tokens: Annotated[str, _tokens] = "all"
    carry_s: Annotated[float, within(0, 3600, "seconds")] = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectConfig:
    """When meaning is put into words; see `OnlineSelection`.

    Attributes:
        threshold: Cosine distance that opens a change; None leaves it to the model, see `OnlineSelection`.
        boundary: Probability from which on the bundle's own network has seen a boundary; None takes the usual one.
        confirm: Whether what that network sees is told one window later, when the next is less sure of it.
        min_gap_s: Shortest time between decodings.
        per_minute: Budget of decodings of each camera; None has none.
    """

    threshold: float | None = None
    boundary: float | None = None
    confirm: bool = True
    min_gap_s: float = 0.5
    per_minute: float | None = None

    def __post_init__(self) -> None:
        check_record(self, error=InputError)
        if self.threshold is not None and self.boundary is not None:
            raise InputError("expected either threshold or boundary of a selection, and not both")
        self.policy()

    def policy(self) -> OnlineSelection:
        """The same for the runtime."""
        policy = OnlineSelection(
            threshold=self.threshold,
            confirm=self.confirm,
            min_gap_s=self.min_gap_s,
            per_minute=self.per_minute,
        )
        return policy if self.boundary is None else replace(policy, boundary=self.boundary)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """What is kept, for how long.

    Attributes:
        folder: Of the log; None takes the folder of this file. A change needs a restart.
        keep_days: Windows, words and small pictures older than this go; None keeps them.
        keep_gb: The oldest go until the log takes no more; None sets no limit.
        thin_days: Of what is older, one window is kept of those in a row that say the same; None keeps all.
        video_hours: How far back encoded video of each camera is kept; 0 keeps none.
        video_gb: What the video of all cameras may take together, and what clips may take.
    """

    folder: Name | None = None
    keep_days: Annotated[float, _days] | None = None
    keep_gb: PositiveNumber | None = None
    thin_days: Annotated[float, _days] | None = None
    video_hours: Annotated[float, within(0, 24 * 365, "hours")] = 24.0
    video_gb: PositiveNumber = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermalConfig:
    """What is done where the device gets hot: fewer windows, half as many each time.

    Attributes:
        on: Whether anything is.
        limit_c: Of the hottest sensor; None takes what the system says of each sensor, 5 °C before it would slow down.
        back_c: How far below the limit the rate is raised again.
        slowest: At worst every so many-th window is looked at.
    """

    on: bool = True
    limit_c: Annotated[float, within(30, 120, "degrees Celsius")] | None = None
    back_c: Annotated[float, within(0, 60, "degrees")] = 5.0
    slowest: Annotated[Positive, AtMost(64)] = 8
