"""What the routes of alerts take and give, as OpenAPI shows it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from vljepa_runtime.alerts import Alert
from vljepa_serve.config import Receiver
from vljepa_serve.past.shapes import Body, Question

__all__ = [
    "AlertIn",
    "AlertOut",
    "Count",
    "ProposalOut",
    "Proposed",
    "Rule",
    "ScoreBin",
    "Scored",
    "ScoresOut",
]

DAY_S = 86_400.0
Cameras = Annotated[tuple[Annotated[str, Field(max_length=200)], ...], Field(max_length=64)]
Seconds = Annotated[float, Field(ge=0, le=7 * DAY_S, allow_inf_nan=False)]
Score = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]
SendTo = Annotated[tuple[Receiver, ...], Field(max_length=8)]


class Rule(Body):
    """What is looked for.

    Attributes:
        query: In one's own words.
        rivals: What else may be seen; the score is how much nearer `query` is than the nearest of them.
        cameras: Ids; empty for all.
        hold_s: How long it must hold.
        cool_down_s: Silence after its end.
    """

    query: Question
    rivals: Annotated[tuple[Question, ...], Field(max_length=64)] = ()
    cameras: Cameras = ()
    hold_s: Seconds = 1.0
    cool_down_s: Seconds = 10.0

    def rule(self) -> Alert:
        """For the runtime; its threshold is what the words say."""
        return Alert(
            text=self.query,
            against=self.rivals,
            hold_s=self.hold_s,
            cool_down_s=self.cool_down_s,
        )


class AlertIn(Rule):
    """An alert as pages write it; see `vljepa_serve.config.AlertConfig`.

    Attributes:
        threshold: None for what the words say.
        send_to: Kinds of receivers; None for all, none for the page alone.
    """

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"\S")]
    threshold: Score | None = None
    send_to: SendTo | None = None
    look_back_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 10.0
    on: bool = True


class AlertOut(BaseModel):
    """An alert of the configuration, and what became of it.

    Attributes:
        last_fired: When it was told last in these 24 hours, in seconds since 1970; None where it was not.
        fired_24h: How often in 24 hours.
        active: By camera, whether it is on now.
    """

    id: str
    name: str
    query: str
    rivals: tuple[str, ...]
    cameras: tuple[str, ...]
    threshold: float | None
    hold_s: float
    cool_down_s: float
    look_back_s: float
    send_to: tuple[str, ...] | None
    on: bool
    last_fired: float | None
    fired_24h: int
    active: dict[str, bool]


class Proposed(Rule):
    """How often an alert may be told."""

    per_day: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)]


class ProposalOut(BaseModel):
    """See `vljepa_serve.archive.Proposal`."""

    threshold: float | None
    expected_per_day: float | None
    sentence: str


class Scored(Rule):
    """An alert that somebody edits: its scores of so many hours.

    Attributes:
        threshold: Where it is counted exactly; None counts at what the words say.
    """

    threshold: Score | None = None
    hours: Annotated[float, Field(gt=0, le=7 * 24, allow_inf_nan=False)] = 24.0


class ScoreBin(BaseModel):
    """The highest score of a step."""

    at: float
    high: float


class Count(BaseModel):
    """How often it would have been told at a threshold."""

    threshold: float
    fires: int


class ScoresOut(BaseModel):
    """See `vljepa_serve.archive.Scores`.

    Attributes:
        automatic: The threshold that the words say; None for a single word.
    """

    automatic: float | None
    bins: list[ScoreBin]
    step_s: float
    counts: list[Count]
