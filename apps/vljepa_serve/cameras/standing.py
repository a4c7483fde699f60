"""What is looked for in one camera all the time: alerts and taught states, changed while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vljepa_runtime import Event, InputError, Model, States, VljepaError, Window
from vljepa_runtime.alerts import AlertChange, AlertWatch
from vljepa_runtime.bundle import identity_of
from vljepa_runtime.events import wall_clock
from vljepa_runtime.selection import BestState, Observation, State
from vljepa_serve.config import AlertConfig, Config, StatesConfig

__all__ = ["Found", "Standing"]

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Something that is to be told.

    Attributes:
        event: As the runtime would tell it.
        about: Id of the alert or the states.
        send_to: Kinds of receivers that are told; None for all.
    """

    event: Event
    about: str
    send_to: tuple[str, ...] | None = None


@dataclass(slots=True)
class _Alert:
    config: AlertConfig
    watch: AlertWatch
    active: bool = False
    clip: str | None = None


@dataclass(slots=True)
class _States:
    config: StatesConfig
    query: str
    state: State


class Standing:
    """The alerts and states of one camera.

    Args:
        camera: Its id.
        model: Whose embeddings are looked at.
        folder: Beside which the files of states lie.
        problem: Is told which of them cannot be used, by its id, and an empty sentence when it can.
    """

    def __init__(
        self, camera: str, model: Model, folder: Path, problem: Callable[[str, str], object]
    ) -> None:
        self._camera, self._model, self._folder, self._problem = camera, model, folder, problem
        self._alerts: dict[str, _Alert] = {}
        self._states: dict[str, _States] = {}

    @property
    def queries(self) -> list[str]:
        """What has to be asked beside what the camera is asked anyway."""
        return [each.query for each in self._states.values()]

    @property
    def active(self) -> dict[str, bool]:
        """Which alerts are on now, by their ids."""
        return {id: each.active for id, each in [*self._alerts.items()]}

    def apply(self, config: Config, *, query: str) -> None:
        """Take over a configuration; what it leaves as it was goes on with what it has seen.

        Args:
            config: All of it.
            query: Whose answers alerts look at.
        """
        alerts = {each.id: each for each in config.alert if each.watches(self._camera)}
        self._alerts = {id: found for id, each in alerts.items() if (found := self._alert(each, query))}
        states = {each.id: each for each in config.states if each.watches(self._camera)}
        self._states = {id: taught for id, each in states.items() if (taught := self._taught(each))}

    def _alert(self, config: AlertConfig, query: str) -> _Alert | None:
        before = self._alerts.get(config.id)
        if before is not None and before.config.rule() == config.rule() and before.watch.queries == (query,):
            before.config = config
            return before
        try:
            watch = AlertWatch([config.rule()], self._model.embed_text, queries=[query])
        except VljepaError as error:
            self._problem(f"alert {config.id}", f"The alert {config.name} cannot be watched: {error}")
            return None
        self._problem(f"alert {config.id}", "")
        return _Alert(config, watch)

    def _taught(self, config: StatesConfig) -> _States | None:
        before = self._states.get(config.id)
        if before is not None and before.config == config:
            return before
        try:
            states = States.read(self._folder / config.file)
            states.require(identity_of(self._model.bundle.manifest))
            if states.feature != "embedding":
                raise InputError("they look at visual tokens: teach them on embeddings")
        except VljepaError as error:
            self._problem(f"states {config.id}", f"The states {config.name} cannot be told: {error}")
            return None
        self._problem(f"states {config.id}", "")
        return _States(config, states.query, BestState(states=states).start())

    def push(
        self,
        window: Window,
        query: str,
        embedding: Float32,
        name: Callable[[AlertConfig, AlertChange], str | None],
    ) -> Iterator[Found]:
        """Take the next window of one query.

        Args:
            window: Its times.
            query: What it was asked.
            embedding: (S,) what was predicted.
            name: Gives the name that the clip of an alert that begins will have.
        """
        seen = Observation(
            index=window.index,
            start_s=window.start_s,
            end_s=window.end_s,
            embedding=embedding,
            held=window.held,
        )
        for each in [*self._alerts.values()]:
            for change in each.watch.push(query, seen):
                yield self._changed(each, query, change, name)
        for id, taught in [*self._states.items()]:
            if taught.query == query:
                for decision in taught.state.push(seen):
                    yield Found(
                        event=Event(
                            stream=self._camera,
                            kind="answer",
                            start_s=decision.start_s,
                            end_s=decision.end_s,
                            time=wall_clock(),
                            text=decision.text or "",
                            query=query,
                            score=decision.score,
                        ),
                        about=id,
                    )

    def _changed(
        self,
        each: _Alert,
        query: str,
        change: AlertChange,
        name: Callable[[AlertConfig, AlertChange], str | None],
    ) -> Found:
        each.active = change.active
        if change.active:
            each.clip = name(each.config, change)
        event = Event(
            stream=self._camera,
            kind="alert",
            start_s=change.start_s,
            end_s=change.end_s,
            time=wall_clock(),
            text=change.alert.text,
            query=query,
            score=change.score,
            active=change.active,
            clip=each.clip,
        )
        return Found(event=event, about=each.config.id, send_to=each.config.send_to)
