"""`vljepa digest`, `decode` and `answer`: what a log says of the past, and how it is shown."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vljepa_apps.main import main
from vljepa_log import LogReader, LogWriter, digest_pages

NASTY = '<script>alert(1)</script> | *a* & "b" \'\u202eturned\x1b[31m'
WORDS = ("a red ball falls", "a blue box jumps", "a white cross jumps")
CAPTION = "Describe this video in one sentence."
BEGAN = 1795852800.0  # 2026-11-28T08:00Z


@pytest.fixture
def place(tmp_path: Path, tiny: Any) -> Path:
    """A log of ten seconds for each of three sentences, whose stream has a name that would command a page."""
    with LogWriter(tmp_path / "LOG", tiny.bundle.manifest) as log:
        for index in range(30):
            embedding = tiny.embed_text([WORDS[index // 10]])[0]
            log.add_window(
                NASTY, CAPTION, start_s=index, end_s=index + 2, embedding=embedding, at=BEGAN + index + 2
            )
            log.add_thumbnail(NASTY, at_s=index + 1, jpeg=b"\xff\xd8jpeg", at=BEGAN + index + 1)
    return tmp_path / "LOG"


class Reading(HTMLParser):
    """What a browser would make of a page: its tags, what they load, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.said: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        assert not [name for name, _ in attrs if name.startswith("on") or name == "style"]

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def test_a_digest_in_three_forms(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    html, notes = tmp_path / "day.html", tmp_path / "day.md"
    day = [
        "digest",
        str(place),
        "--day",
        "2026-11-28",
        "--zone",
        "UTC",
        "--out",
        str(html),
        "--out",
        str(notes),
    ]
    assert main([*day, "--budget", "2"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(
        "Saturday, 2026-11-28: 2 of 3 changes of 1 stream, 2 of them put into words for this"
    )
    assert err == ""
    lines = [line.split()[0] for line in out.splitlines()[3:]]
    assert lines == sorted(lines)
    assert "\x1b" not in out + notes.read_text() + html.read_text()
    assert "\u202e" not in out + notes.read_text() + html.read_text()
    row = notes.read_text().splitlines()[-1]
    assert r"\<script\>alert(1)\</script\> \| \*a\* \&" in row
    assert len(re.findall(r"(?<!\\)\|", row)) == 5
    page = Reading(html.read_text())
    assert not {"script", "link", "iframe", "object", "form", "a"} & set(page.tags)
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert len(page.links) == 2
    assert any("<script>alert(1)</script>" in text for text in page.said)
    assert main([*day, "--budget", "2"]) == 1
    assert "--force" in capsys.readouterr().err


def test_the_policy_of_a_page_allows_its_own_style_and_no_other() -> None:
    page = digest_pages.html(digest_pages.Page(title="t", summary="s", entries=[]))
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src &#x27;sha256-{digest}&#x27;" in page
    assert "default-src &#x27;none&#x27;" in page
    assert "script" not in page


def test_a_digest_decodes_once_and_within_its_budget(
    place: Path, tiny: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    decode = tiny.decode
    monkeypatch.setattr(tiny, "decode", lambda embedding: (asked.append(1), decode(embedding))[1])
    for spent in (2, 2):
        assert main(["digest", str(place), "--budget", "2", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (len(found["segments"]), found["changes"], len(asked)) == (2, 3, spent)
    assert found["decoded"] == 0
    assert {each["text"] for each in found["segments"]} <= set(WORDS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--day", "2020-01-01", "--zone", "UTC"],
            "holds nothing of 2020-01-01, but from 2026-11-28 08:00:02",
        ),
        (["--stream", "yard"], "holds nothing of yard"),
        (["--out", "day.pdf"], "expected --out FILE.html or FILE.md, got day.pdf"),
    ],
    ids=["day", "stream", "form"],
)
def test_what_a_digest_cannot_do_is_one_sentence(
    options: list[str], message: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["digest", str(place), *options]) == 1
    assert message in capsys.readouterr().err


def test_a_moment_is_decoded_and_its_words_are_kept(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for at in ("5", "2026-11-28T08:00:05Z"):
        assert main(["decode", str(place), "--at", at, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["start_s"], found["end_s"], found["text"]) == (4, 6, WORDS[0])
        assert found["decoded"] is (at == "5")
    with LogReader(place) as log:
        assert [each.event.text for each in log.events()] == [WORDS[0]]


def test_a_span_is_decoded_segment_by_segment(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", str(place), "--span", "0", "25", "--json"]) == 0
    assert [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()] == list(WORDS)
    assert main(["decode", str(place), "--span", "9", "2"]) == 1
    assert "B not before A" in capsys.readouterr().err
    assert main(["decode", str(place), "--span", "500", "600"]) == 1
    assert "nothing of that span" in capsys.readouterr().err


def test_words_are_told_although_another_process_writes(
    place: Path, tiny: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with LogWriter(place, tiny.bundle.manifest):
        assert main(["decode", str(place), "--at", "5"]) == 0
    out, err = capsys.readouterr()
    assert WORDS[0] in out
    assert err.startswith("note: the words are not stored: ")


def test_the_past_is_asked_with_what_was_kept(
    place: Path, tiny: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ["answer", str(place), "What happens?", "--at", "15"]
    choices = [part for words in WORDS for part in ("--label", words)]
    assert main([*ask, *choices, "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (found["answer"], found["asked"], found["decoded"]) == (WORDS[1], CAPTION, False)
    assert found["results"][0]["label"] == WORDS[1]
    assert CAPTION in err
    assert main(ask) == 1
    assert "pass --label" in capsys.readouterr().err
    with LogWriter(place, tiny.bundle.manifest) as log:
        embedding = np.asarray(tiny.embed_text([WORDS[2]])[0])
        log.add_window(NASTY, "What happens?", start_s=14, end_s=16, embedding=embedding, at=BEGAN + 16)
    assert main([*ask]) == 0
    assert capsys.readouterr() == (f"{WORDS[2]}\n", "")


def test_a_moment_of_several_streams_is_asked_of_one(
    place: Path, tiny: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with LogWriter(place, tiny.bundle.manifest) as log:
        embedding = np.asarray(tiny.embed_text([WORDS[2]])[0])
        log.add_window("yard", CAPTION, start_s=14, end_s=16, embedding=embedding, at=BEGAN + 16)
    ask = ["answer", str(place), "What?", "--at", "15", "--label", WORDS[1], "--label", WORDS[2]]
    assert main(ask) == 1
    assert "name one with --stream" in capsys.readouterr().err
    assert main([*ask, "--stream", "yard", "--quiet"]) == 0
    assert capsys.readouterr().out.startswith(WORDS[2])


def test_words_of_what_was_unknown_are_given_where_they_are_asked_for_and_called_a_guess(
    tmp_path: Path, tiny: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    place, embedding = str(tmp_path / "LOG"), np.asarray(tiny.embed_text([WORDS[0]])[0])
    with LogWriter(place, tiny.bundle.manifest) as log:
        log.add_window("yard", CAPTION, start_s=0, end_s=2, embedding=embedding, unknown=True, at=BEGAN)
    assert main(["digest", place, "--zone", "UTC"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("yard    nothing I know")
    assert main(["search", place, WORDS[0]]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("yard    nothing I know")
    guesses = [
        ["decode", place, "--at", "1"],
        ["answer", place, "What?", "--at", "1", "--label", WORDS[0]],
    ]
    for command in guesses:
        assert main(command) == 0
        out, err = capsys.readouterr()
        assert WORDS[0] in out
        assert "nothing tiny knows is to be seen here" in err
        assert main([*command, "--json"]) == 0
        out, err = capsys.readouterr()
        assert json.loads(out)["unknown"] is True
        assert "nothing tiny knows" not in err
