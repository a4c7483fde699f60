"""Own states by marking moments: how well they are told apart, and which sets are in use."""

from __future__ import annotations

import time
from pathlib import Path as File
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from vljepa_runtime import InputError, States
from vljepa_runtime.states import UNSURE
from vljepa_serve.archive import MomentId, shown_now, teach_moments
from vljepa_serve.config import StatesConfig, free_id
from vljepa_serve.dependencies import ReadingOf, ServiceOf
from vljepa_serve.errors import ConfigError, ServeError
from vljepa_serve.past.shapes import Body, Question
from vljepa_serve.service import Service
from vljepa_teach import Taught

__all__ = ["router"]

router = APIRouter(prefix="/api/teach", tags=["teach"])
FOLDER = "states"
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"\S")]
Moments = Annotated[tuple[Annotated[str, Field(max_length=240)], ...], Field(max_length=200)]


class Lesson(Body):
    """What is shown.

    Attributes:
        name: Of the set; one that is kept is replaced.
        states: Moments by the name of the state that they show.
        query: Which embeddings are looked at; None takes what the first moment's camera is asked.
        cameras: On which they are told where they are kept; none for all.
        keep: Whether they are told from now on.
    """

    name: Name
    states: Annotated[dict[Name, Moments], Field(max_length=64)]
    query: Question | None = None
    cameras: Annotated[tuple[Annotated[str, Field(max_length=200)], ...], Field(max_length=64)] = ()
    keep: bool = False


class GuessOut(BaseModel):
    """What one moment was taken for when it was left out."""

    moment: str
    state: str
    guess: str
    unsure: bool


class StateScore(BaseModel):
    """How likely a state is."""

    text: str
    score: float


class Learned(BaseModel):
    """What leaving each example out says.

    Attributes:
        correct: Examples that were taken for what they show.
        wrong: For something else.
        unsure: For nothing.
        all: How many there are.
        confusion: By shown state, how many were taken for each state, and "unsure".
        examples: Each of them.
        seconds: How long it took.
        ready: Whether it tells them apart better than guessing.
        sentence: What makes it worse than it looks; empty where nothing does.
        now: Of cameras that are live, how likely each state is.
        id: Of the set where it is kept.
    """

    correct: int
    wrong: int
    unsure: int
    all: int
    confusion: dict[str, dict[str, int]]
    examples: list[GuessOut]
    seconds: float
    ready: bool
    sentence: str
    now: dict[str, list[StateScore]]
    id: str | None = None


class TaughtSet(BaseModel):
    """States that are in use.

    Attributes:
        id: Of the set.
        name: For people.
        cameras: On which they are told; none for all.
        states: Their names; none where the file cannot be read.
        accuracy: Share of windows that were right when their example was left out; None where it cannot be read.
    """

    id: str
    name: str
    cameras: tuple[str, ...]
    states: tuple[str, ...]
    accuracy: float | None


@router.post("")
async def teach(service: ServiceOf, reading: ReadingOf, lesson: Lesson) -> Learned:
    """Learn, and say how well; nothing is encoded and nothing decoded."""
    return await reading.run(_learn, service, lesson)


@router.get("")
async def taught(service: ServiceOf, reading: ReadingOf) -> list[TaughtSet]:
    """Sets that are in use."""
    return await reading.run(lambda: [_view(service, each) for each in service.config.states])


@router.delete("/{id}", status_code=204)
def forget(service: ServiceOf, id: Annotated[str, Path(max_length=32)]) -> None:
    """Tell a set no more, and remove what was learned."""
    found = next((each for each in service.config.states if each.id == id), None)
    if found is None:
        known = ", ".join(each.id for each in service.config.states) or "none"
        raise ServeError(404, f"There is no taught set {id!r}; known: {known}.", field="id")
    service.change(lambda file: file.remove("states", id))
    if found.file == _file(id):  # written here; whatever else the configuration names is somebody's own
        (service.folder / found.file).unlink(missing_ok=True)


def _learn(service: Service, lesson: Lesson) -> Learned:
    begun = time.perf_counter()
    shown = [(state, MomentId.parse(each)) for state, moments in lesson.states.items() for each in moments]
    found = teach_moments(service.archive, shown, query=lesson.query)
    states = found.states
    cameras = lesson.cameras or tuple(dict.fromkeys(moment.camera for _, moment in shown))
    now = shown_now(service.archive, states, cameras)
    unsure = sum(each.unsure for each in found.guesses)
    correct = sum(each.guess == each.state and not each.unsure for each in found.guesses)
    return Learned(
        correct=correct,
        wrong=len(shown) - correct - unsure,
        unsure=unsure,
        all=len(shown),
        confusion=_confusion(found),
        examples=[
            GuessOut(moment=str(moment), state=each.state, guess=each.guess, unsure=each.unsure)
            for (_, moment), each in zip(shown, found.guesses)
        ],
        seconds=round(time.perf_counter() - begun, 3),
        ready=correct * len(states.names) > len(shown),
        sentence=_sentence(found.warnings[0]) if found.warnings else "",
        now={
            camera: [StateScore(text=name, score=round(score, 4)) for name, score in scores]
            for camera, scores in now.items()
        },
        id=_keep(service, lesson, states) if lesson.keep else None,
    )


def _confusion(found: Taught) -> dict[str, dict[str, int]]:
    names = found.states.names
    table = {name: dict.fromkeys((*names, UNSURE), 0) for name in names}
    for each in found.guesses:
        table[each.state][UNSURE if each.unsure else each.guess] += 1
    return table


def _keep(service: Service, lesson: Lesson, states: States) -> str:
    before = next((each.id for each in service.config.states if each.name == lesson.name), None)
    id = before or free_id(lesson.name, [each.id for each in service.config.states])
    file = _file(id)
    (service.folder / FOLDER).mkdir(parents=True, exist_ok=True)
    states.save(service.folder / file)
    values = {"id": id, "name": lesson.name, "file": file, "cameras": list(lesson.cameras)}
    try:
        service.change(lambda config: config.put("states", values))
    except ConfigError:
        if before is None:
            (service.folder / file).unlink(missing_ok=True)
        raise
    return id


def _view(service: Service, config: StatesConfig) -> TaughtSet:
    names: tuple[str, ...] = ()
    accuracy = None
    try:
        states = States.read(service.folder / config.file)
        names, accuracy = states.names, states.held_out.accuracy
    except InputError:  # the service tells what is wrong with it
        pass
    return TaughtSet(id=config.id, name=config.name, cameras=config.cameras, states=names, accuracy=accuracy)


def _file(id: str) -> str:
    return str(File(FOLDER, f"{id}.json").as_posix())


def _sentence(warning: str) -> str:
    return f"{warning[:1].upper()}{warning[1:]}" + ("" if warning[-1] in ".?!" else ".")
