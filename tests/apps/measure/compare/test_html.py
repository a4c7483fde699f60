"""The page of a comparison: it holds what was measured, needs nothing else, and a browser finds nothing wrong."""

from __future__ import annotations

import base64
import re
from dataclasses import asdict
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vljepa_apps.measure.compare.html import page, svg
from vljepa_apps.measure.compare.html.charts import Point, pareto
from vljepa_apps.measure.compare.html.clips import pictures, worst_clips
from vljepa_apps.measure.compare.judging import differences, judge
from vljepa_apps.measure.compare.parity import MeasuredParity
from vljepa_apps.measure.compare.report import Column, Comparison, SameDecisions, speedups
from vljepa_apps.measure.compare.run import agreements
from vljepa_apps.measure.latency import summarise
from vljepa_evaluation.gates import compare_outputs
from vljepa_evaluation.metrics import alike_moments
from vljepa_evaluation.tasks import MARGIN, TaskResult

LINES = ("tiny", "tiny-fp32", "tiny-openvino-int8, openvino:cpu", "tiny-int4", "vlm", "clip", "siglip <b>&")
COLOURS = ("red", "green", "blue", "yellow", "orange", "purple", "black", "white")
SHAPES = tuple(
    f"a {colour} {shape} jumps" for colour in COLOURS[:5] for shape in ("ball", "box", "ring", "star")
)
CLIPS = 60


def answers(task: str, labels: tuple[str, ...], right: float, seed: int) -> TaskResult:
    """A model that is right so often; the truth is the same for all."""
    truth = np.random.default_rng(7).choice(labels, CLIPS)
    random = np.random.default_rng(seed)
    said = [each if random.random() < right else str(random.choice(labels)) for each in truth.tolist()]
    hits = np.array([a == b for a, b in zip(said, truth.tolist())])
    margins = np.where(hits, 1, -1) * random.uniform(0.01, 0.3, CLIPS)
    return TaskResult.of(
        task,
        "accuracy",
        {"accuracy": hits, MARGIN: margins},
        chance=1 / len(labels),
        chosen=tuple(said),
        truth=tuple(truth.tolist()),
        shown=tuple(f"world/mixed/{1_000_000 + n}" for n in range(CLIPS)),
    )


def curve(policy: str, rates: list[float], base: float) -> dict[str, Any]:
    points = [
        {"setting": 1.0, "per_minute": r, "cider_d": {"value": v, "low": v - 0.4, "high": v + 0.4, "n": 6}}
        for r in rates
        for v in [base + 1.5 * np.log10(r)]
    ]
    return {"policy": policy, "points": points}


def column(number: int, label: str, tasks: dict[str, TaskResult]) -> Column:
    random = np.random.default_rng(number)
    latency = {
        cell: asdict(summarise((scale * (1 + number) * random.lognormal(0, 0.1, 40)).tolist()))
        for cell, scale in {"x_encoder": 3.0, "predictor": 1.0, "decode": 6.0, "window": 5.0}.items()
    }
    begins = [[0.0, 4.0 + number * 0.5, 9.0], [0.0, 7.0]]
    swept = [
        curve("uniform", [3, 6, 15, 60], 3.0),
        curve("own selection", [2, 4, 8, 20], 4.0 - 0.1 * number),
        curve("as shipped", [6.5], 4.0 - 0.1 * number),
    ]
    return Column(
        label=label,
        spec=label,
        facts={
            "engine": "onnxruntime:cpu 1.23.2",
            "precision": {"x_encoder": "int8"},
            "size_bytes": 7_000_000 * (1 + number),
            "peak_rss_mb": 120.0 + number,
            "cold_start_s": 1.0 + 0.1 * number,
        },
        tasks={name: result.to_dict() for name, result in tasks.items()},
        streams={"begins_s": begins, "curves": swept if number < 4 else []},
        latency=latency,
        errors=["streams: it has no <Y-decoder>"] if number >= 4 else [],
    )


def comparison(labels: tuple[str, ...] = LINES) -> Comparison:
    """Of as many lines, with all that can be measured."""
    results = {
        label: {
            "classification": answers("classification", SHAPES, 0.9 - 0.08 * number, number),
            "vqa/colour": answers("vqa/colour", COLOURS, 0.95 - 0.05 * number, 10 + number),
            "vqa/exists": answers("vqa/exists", ("yes", "no"), 0.9 - 0.02 * number, 20 + number),
        }
        for number, label in enumerate(labels)
    }
    columns = {label: column(n, label, tasks) for n, (label, tasks) in enumerate(results.items())}
    found = tuple(differences(results, labels[0]))
    begins = {label: [np.array(b) for b in each.streams["begins_s"]] for label, each in columns.items()}
    same = [
        SameDecisions(
            label=label,
            base=labels[0],
            same=alike_moments(begins[labels[0]], begins[label], within_s=0.01),
            near=alike_moments(begins[labels[0]], begins[label], within_s=0.51),
        )
        for label in labels[1:4]
    ]
    rows = compare_outputs([[np.eye(2)]], [[np.eye(2) + np.array([[0, 0.25], [0, 0]])]])
    return Comparison(
        machine={"cpu": "a chip", "cores": "2", "date": "2026-01-01 10:00 UTC", "commit": "abc123"},
        settings={"clips": CLIPS, "rounds": 40, "tasks": ("classification", "vqa/colour"), "streams": 6},
        columns=tuple(columns.values()),
        differences=found,
        verdicts=tuple(judge(found, list(labels))),
        agreements=tuple(agreements(results, labels[0])),
        decisions=tuple(same),
        parity=tuple(
            MeasuredParity(name="x_encoder", label=label, base=labels[0], parity=rows) for label in labels[1:]
        ),
        reference=labels[0],
        speedups=speedups(columns, labels[0]),
        results=results,
    )


class Reader(HTMLParser):
    """Checks that elements are closed in order, and collects addresses."""

    EMPTY = frozenset({"meta", "link", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """`<line/>` is closed at once."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def written() -> str:
    return page(comparison(), command="vljepa compare tiny 'b<c'")


def test_the_page_needs_nothing_else(written: str) -> None:
    reader = Reader()
    reader.feed(written.partition("<!doctype html>")[2])
    assert reader.open == []
    assert all(address.startswith(("data:", "#")) for address in reader.addresses)
    assert not re.search(r"url\(|@import|https?://", written)
    assert {address[1:] for address in reader.addresses if address.startswith("#")} <= set(
        re.findall(r'<section id="(\w+)"', written)
    )


def test_what_was_measured_stands_there(written: str) -> None:
    report = comparison()
    for verdict in report.verdicts[:2]:
        assert str(verdict).partition(": ")[2] in written
    estimate = report.columns[0].tasks["classification"]["metrics"]["accuracy"]
    low, value, high = (100 * estimate[end] for end in ("low", "value", "high"))
    assert f"{value:.1f} [{low:.1f}, {high:.1f}]" in written
    assert "siglip &lt;b&gt;&amp;" in written
    assert "<b>&" not in written
    assert "streams: it has no &lt;Y-decoder&gt;" in written
    assert "vljepa compare tiny &#x27;b&lt;c&#x27;" in written
    for said in ("abc123", "a chip", "world/mixed 1000000 to 1000059", "intervals and tests 20251210"):
        assert said in written


def test_one_line_alone_has_a_page() -> None:
    alone = page(comparison(("tiny",)))
    assert "Differences to" not in alone
    assert "Accuracy and time" not in alone
    assert "every line is wrong" in alone


def test_the_worst_clips_are_those_that_a_line_lost() -> None:
    results = comparison(LINES[:2]).results
    found = list(worst_clips(results, each=3))
    lost = [each for each in found if each.why == "tiny-fp32 misses what tiny sees"]
    assert len(lost) == 3
    for each in lost:
        assert each.said["tiny"] == (each.truth, True)
        assert each.said["tiny-fp32"] != each.said["tiny"]
        assert not each.said["tiny-fp32"][1]
    for each in found[3:]:
        assert not any(is_right or words == each.truth for words, is_right in each.said.values())
    (first, *_) = pictures(lost[0].shown)
    data = np.frombuffer(base64.b64decode(first.partition(",")[2]), np.uint8)
    assert cv2.imdecode(data, cv2.IMREAD_COLOR).shape == (112, 112, 3)
    assert pictures("gone.mp4#t=0,1") == []


@pytest.mark.parametrize("lines", [2, 5, 9])
def test_names_of_lines_that_lie_close_do_not_cover_each_other(lines: int) -> None:
    """As int8, int4 and fp32 of one bundle do."""
    points = [
        Point(
            number=number,
            label=f"tiny-openvino-int8 {number}",
            x=(11.8 + 0.1 * number, 11.0, 13.0),
            y=(98.4 - 0.01 * number, 97.8, 98.9),
        )
        for number in range(lines)
    ]
    drawn = pareto(points, title="t", unit="ms a window", limits=(0, 100))
    named = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="start" class="name', drawn)
    assert len(named) == lines
    places = [(float(x), float(y)) for x, y in named]
    width = len("tiny-openvino-int8 0") * svg.LETTER
    for (x, y), (other_x, other_y) in combinations(places, 2):
        assert abs(y - other_y) >= 12 or abs(x - other_x) >= width - 1
    assert all(0 <= x <= svg.WIDTH - width and 0 < y < 240 for x, y in places)
    assert ('class="lead"' in drawn) == (lines > 2)


@pytest.mark.parametrize(("low", "high"), [(0.2, 0.9), (-3.0, 7.0), (5.0, 5.0), (0.0, 100.0)])
def test_an_axis_holds_its_values(low: float, high: float) -> None:
    axis = svg.linear(low, high, svg.Box(10, 350))
    assert 10 <= axis.at(low) <= axis.at(high) <= 350
    assert axis.ticks[0] <= low
    assert axis.ticks[-1] >= high - 1e-9
    assert 2 <= len(axis.ticks) <= 8


@pytest.mark.parametrize(("low", "high"), [(0.2, 0.9), (5.0, 5.0), (0.01, 4000.0)])
def test_a_logarithmic_axis_holds_its_values(low: float, high: float) -> None:
    axis = svg.logarithmic(low, high, svg.Box(10, 350))
    assert 10 < axis.at(low) <= axis.at(high) < 350
    assert all(low / 1.2 <= tick <= high * 1.2 for tick in axis.ticks)


WIDTHS = {"desk": 1280, "phone": 390}


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_a_browser_without_network_shows_it(
    browser: Any, written: str, tmp_path: Path, width: int, scheme: str
) -> None:
    (tmp_path / "report.html").write_text(written, encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    shown = context.new_page()
    said: list[str] = []
    shown.on("console", lambda message: said.append(message.text))
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.goto((tmp_path / "report.html").as_uri())
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.evaluate("[...document.images].every(image => { image.loading = 'eager'; return true; })")
    names = "[...document.querySelectorAll('#lines tbody tr')].map(row => row.cells[0].textContent)"
    before = shown.evaluate(names)
    shown.locator("#lines th", has_text="size").click()
    shown.locator("#lines th", has_text="size").click()
    assert shown.evaluate(names) == before[::-1]
    ground = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    shown.locator("button.theme").click()
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") != ground
    assert said == []
    context.close()
