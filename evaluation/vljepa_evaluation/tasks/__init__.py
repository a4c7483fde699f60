"""Held-out tasks of the procedural world: what a model is asked, with the truth and a number with its interval.

>>> from vljepa_evaluation.tasks import evaluate, expand_tasks
>>> from vljepa_runtime import load
>>> expand_tasks(["captions", "vqa"])[:4]
('vqa/what', 'vqa/colour', 'vqa/count', 'vqa/presence')
>>> model = load("tiny")
>>> for result in evaluate(model, tasks=["vqa/colour", "captions"], clips=3):
...     print(result.task, result.headline, round(result.main.value, 2), result.chance)
vqa/colour accuracy 1.0 0.125
captions all_attributes 1.0 None
>>> result.examples[0]  # what was said, and the truth
('a green ball jumps', 'a green ball jumps')
>>> result
TaskResult(task='captions', ...)

On clips of one's own, with the texts of an annotation file; two bundles may be compared question by question:

>>> from vljepa_data.annotations import open_data
>>> from vljepa_evaluation.tasks import evaluate_data, same_answers
>>> labels, retrieval = evaluate_data(model, model.preprocess, open_data("clips.csv"))
>>> labels.main.value, labels.note, retrieval.main.value
(1.0, '2 questions about clips of 1 videos, 2 candidates', 1.0)
>>> same_answers(labels, labels)["best_label"].value
1.0

A model that is no VL-JEPA is measured alike. One that rates texts itself, as a token VLM does by their likelihood, is
`Scoring`; one that lacks what a task needs raises `CannotError`, and that task is marked so:

>>> from vljepa_evaluation.tasks import CannotError, Scoring, nearness
>>> isinstance(model, Scoring)
False
>>> nearness(model, model.embed_text(["a red ball"])[0], ["a red ball", "a blue box"]).round(2)
array([1. , 0...], dtype=float32)
>>> class Ranking:  # it words nothing
...     has_decoder, encode, predict, embed_text = False, model.encode, model.predict, model.embed_text
>>> [result.note for result in evaluate(Ranking(), tasks=["captions"], clips=2)]
['cannot: it ranks texts and words none']
>>> issubclass(CannotError, Exception)
True

On a stream every window is embedded once; then any policy can be asked when it would have decoded:

>>> from vljepa_evaluation.tasks import KnownEvents, StreamPlan, curves, policies, record
>>> from vljepa_runtime import OnlineSelection, Uniform
>>> recording = record(model, 3, StreamPlan(minutes=0.1), model.preprocess)
>>> recording
Recording(embeddings=array(...), windows_s=..., events_s=..., references=(('a white box bounces', ...), ...))
>>> swept = {"uniform": [(1.0, Uniform(1.0))], "online": [(0.1, OnlineSelection())]}
>>> list(policies()), list(policies(lambda stream: None))[-3:]  # all that `vljepa selective` sweeps
(['uniform', 'uniform, pooled', 'ward', 'ward, pooled', 'online', 'events known'], ['online, network', ...])
>>> [(curve.policy, curve.decodings.tolist()) for curve in curves([recording], model.decode, swept=swept)]
[('uniform', [[5.0]]), ('online', [[3.0]])]
>>> KnownEvents.of(recording)  # the oracle: a policy that knows the truth of this stream
KnownEvents(events_s=array(...))

A task is a file here and a line in the table of `run.py`; `selective.py` and `streams.py` measure long streams.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
