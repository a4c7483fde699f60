"""What was kept, to be read while more comes: the log and the video of cameras. Knows no web.

>>> from dataclasses import replace
>>> from datetime import date
>>> import vljepa_runtime as vj
>>> from vljepa_log import LogReader, LogWriter, Where, index_source
>>> from vljepa_runtime.alerts import Alert
>>> from vljepa_serve.archive import LATEST, Answer, Archive, Bin, Found, MomentId, Trace, ask, search, trace_of
>>> from vljepa_serve.archive import Day, Proposal, Scores, automatic_threshold, digest_day, propose_threshold
>>> from vljepa_serve.archive import OpenLog, score_alert, shown_now, teach_moments
>>> model = vj.load("tiny")
>>> with LogWriter("ARCHIVE", model.bundle.manifest) as log:
...     done = index_source(model, "clip.mp4", log)
>>> with LogReader("ARCHIVE", model.bundle.manifest) as log:
...     archive = Archive(log, model, keep=lambda segments: None)
...     query = archive.query_of("clip.mp4")
...     here: OpenLog = archive.read(lambda opened: opened)  # no process: it is read here
...     begin, end = (segment := archive.cut("clip.mp4", query, 0, LATEST)[0]).began, segment.time
...     moment = MomentId(camera="clip.mp4", start=begin, end=end)
...     print(archive.decoded(archive.at(moment)).text)
...     answer: Answer = ask(archive, moment, "Which colour has the box?", ["white", "red"])
...     print(answer.text, answer.source)
...     found: Found = search(archive, model.embed_text(["a box bounces"])[0], k=1, where=Where())
...     trace: Trace = trace_of(archive, "clip.mp4", query, begin, end, points=2)
...     alert = Alert(text="a ball jumps", hold_s=0)
...     scores: Scores = score_alert(archive, alert, ["clip.mp4"], 0)
...     automatic = automatic_threshold(archive, alert)
...     proposal: Proposal = propose_threshold(archive, alert, ["clip.mp4"], 0, per_day=20_000)
...     taught = teach_moments(archive, [("early", moment), ("late", replace(moment, start=end, end=end + 3))])
...     now = shown_now(archive, taught.states, ["clip.mp4"])
...     day: Day = digest_day(archive, date.fromtimestamp(begin), ["clip.mp4"], budget=1)
a white box bounces
white embedding
>>> found.searched, [isinstance(each, Bin) and each.windows for each in trace.bins]
(5, [1])
>>> taught.states.names, len(taught.guesses), set(now) <= {"clip.mp4"}  # it is told of the last minute
(('early', 'late'), 2, True)
>>> scores.counts[0][1], automatic == scores.automatic, proposal.threshold is not None, len(day.digest.segments)
(1, True, True, 1)
"""

from vljepa_serve.archive.alerts import Proposal, Scores, automatic_threshold, propose_threshold, score_alert
from vljepa_serve.archive.asking import Answer, ask
from vljepa_serve.archive.bins import Bin, Trace, trace_of
from vljepa_serve.archive.days import Day, digest_day
from vljepa_serve.archive.moments import LATEST, MomentId
from vljepa_serve.archive.process import OpenLog, ReadingProcess
from vljepa_serve.archive.reading import Archive
from vljepa_serve.archive.searching import Found, search
from vljepa_serve.archive.teaching import shown_now, teach_moments
from vljepa_serve.archive.wanted import MAX_PICTURE, picture_of
from vljepa_serve.archive.workers import Workers

__all__ = [
    "LATEST",
    "MAX_PICTURE",
    "Answer",
    "Archive",
    "Bin",
    "Day",
    "Found",
    "MomentId",
    "OpenLog",
    "Proposal",
    "ReadingProcess",
    "Scores",
    "Trace",
    "Workers",
    "ask",
    "automatic_threshold",
    "digest_day",
    "picture_of",
    "propose_threshold",
    "score_alert",
    "search",
    "shown_now",
    "teach_moments",
    "trace_of",
]
