"""The procedural world: seeded clips, captions, questions and event streams whose truth is known exactly."""

from vljepa_data.world.clips import Clip, make_clip
from vljepa_data.world.hands import HandBank
from vljepa_data.world.lessons import Lesson, caption_lesson, draw_lesson, question_lesson
from vljepa_data.world.questions import QA, QUESTION_TYPES, ask, question_types
from vljepa_data.world.stream import EventStream, StreamEvent, make_stream
from vljepa_data.world.truth import tubelet_truth
from vljepa_data.world.vocabulary import PROMPTS, Event, Split, Thing

__all__ = [
    "PROMPTS",
    "QA",
    "QUESTION_TYPES",
    "Clip",
    "Event",
    "EventStream",
    "HandBank",
    "Lesson",
    "Split",
    "StreamEvent",
    "Thing",
    "ask",
    "caption_lesson",
    "draw_lesson",
    "make_clip",
    "make_stream",
    "question_types",
    "question_lesson",
    "tubelet_truth",
]
