"""A digest for people: Markdown, or one HTML page that needs nothing else and runs nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from html import escape
from typing import TYPE_CHECKING

from vljepa_log.days import duration, shown
from vljepa_runtime.printable import printable

if TYPE_CHECKING:
    from vljepa_log.digest import Digest
    from vljepa_log.reader import LogReader

__all__ = ["Entry", "Page", "html", "markdown", "page_of"]

FAR_S = 60.0  # a picture that is further from a segment shows something else
STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8888; }
body { font: 16px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 46rem; padding: 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; }
p { margin: 0 0 1rem; }
ol { list-style: none; margin: 0; padding: 0; }
li { border-top: 1px solid var(--line); display: flex; gap: .9rem; padding: .7rem 0; }
img, .none { background: var(--line); border-radius: .3rem; flex: none; height: 96px; object-fit: cover; width: 96px; }
div { min-width: 0; overflow-wrap: anywhere; }
time { font-variant-numeric: tabular-nums; font-weight: 600; }
.words { display: block; font-size: 1.05rem; }
small { color: GrayText; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a digest.

    Attributes:
        began: When it began, for people.
        lasted: How long it went on, for people.
        stream: Where.
        query: What its words answer.
        words: What is said of it.
        jpeg: A small picture; None where there is none.
    """

    began: str
    lasted: str
    stream: str
    query: str
    words: str
    jpeg: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A digest, ready to be shown.

    Attributes:
        title: Which day.
        summary: How much of it is told.
        entries: In the order in which they happened.
    """

    title: str
    summary: str
    entries: Sequence[Entry]


def page_of(found: Digest, log: LogReader, *, day: date, zone: tzinfo | None) -> Page:
    """A digest with its pictures, which a log has kept at changes."""
    count, words = len(found.segments), len(found.decoded)
    streams = len({each.stream for each in found.segments})
    entries = []
    for each in found.segments:
        middle = (each.began + each.time) / 2
        picture = log.thumbnail(each.stream, (each.start_s + each.end_s) / 2, time=middle)
        far = picture is None or not each.began - FAR_S <= picture.time <= each.time + FAR_S
        entries.append(
            Entry(
                began=shown(each.began, zone),
                lasted=duration(each.time - each.began),
                stream=each.stream,
                query=each.query,
                words=each.shown,
                jpeg=None if far or picture is None else picture.jpeg,
            )
        )
    return Page(
        title=f"{day:%A}, {day.isoformat()}",
        summary=f"{count} of {found.changes} changes of {streams} {'stream' if streams == 1 else 'streams'}, "
        f"{words} of them put into words for this",
        entries=entries,
    )


def markdown(page: Page) -> str:
    """For notes and mails; without pictures."""
    lines = [f"# {_plain(page.title)}", "", _plain(page.summary), ""]
    lines += ["| began | for | stream | words |", "|---|---|---|---|"]
    for each in page.entries:
        lines.append(f"| {each.began} | {each.lasted} | {_plain(each.stream)} | {_plain(each.words)} |")
    return "\n".join([*lines, ""])


def html(page: Page) -> str:
    """One page: pictures inside, no script, nothing fetched; its policy allows nothing else."""
    allowed = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"
    entries = "\n".join(map(_entry, page.entries))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{_shown(page.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{_shown(page.title)}</h1>\n<p>{_shown(page.summary)}</p>\n<ol>\n{entries}\n</ol>\n</body>\n</html>\n"
    )


def _entry(entry: Entry) -> str:
    picture = '<span class="none"></span>'
    if entry.jpeg is not None:
        data = base64.b64encode(entry.jpeg).decode()
        picture = f'<img alt="" loading="lazy" src="data:image/jpeg;base64,{data}">'
    return (
        f"<li>{picture}<div><time>{_shown(entry.began)}</time> <small>for {_shown(entry.lasted)}</small>"
        f'<span class="words">{_shown(entry.words) or "no words"}</span>'
        f"<small>{_shown(entry.stream)}: {_shown(entry.query)}</small></div></li>"
    )


def _shown(value: str) -> str:
    """A text from anywhere, as HTML."""
    return escape(printable(value))


def _plain(value: str) -> str:
    """A text from anywhere, as Markdown that means nothing else."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~&])", r"\\\1", printable(value))
