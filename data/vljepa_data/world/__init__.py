"""The procedural world: seeded clips, captions, questions and event streams whose truth is known exactly.

>>> import numpy as np
>>> from vljepa_data.world import Split, ask, caption, make_clip, paraphrases, question_types
>>> clip = make_clip(8, Split.TEST)
>>> clip.frames.shape, clip.frames.dtype
((8, 96, 96, 3), dtype('uint8'))
>>> caption(clip.events, "caption")
'a yellow box rolls to the right'
>>> paraphrases(clip.events, "classify")
('a yellow box rolls', 'a yellow box is rolling')
>>> question_types(clip)
('what', 'colour', 'presence', 'exists', 'count', 'direction')
>>> ask(clip, "direction", np.random.default_rng(0))
QA(question='Which way does the box move?', answer='to the right', candidates=('to the left', 'to the right'), ...)

Training pairs a clip with a query, the answer, and an answer that is nearly right:

>>> from vljepa_data.world import caption_lesson, draw_lesson, meaning, near_miss, question_lesson
>>> rng = np.random.default_rng(0)
>>> caption_lesson(clip, "caption", rng)
Lesson(query='Describe this video in one sentence.', target=..., canonical=..., key=..., wrong=..., wrong_key=...)
>>> question_lesson(clip, "count", rng).target, draw_lesson(clip, rng, questions=0.5).query
('three', 'Is there a black ring?')
>>> caption([near_miss(clip.events[0], rng)], "caption")
'a yellow box falls down'
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
