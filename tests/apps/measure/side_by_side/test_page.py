"""The page is what was measured, and docs/performance.md is such a page, edited by nobody."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vljepa_apps.measure.bench import Benchmark
from vljepa_apps.measure.latency import Latency, summarise
from vljepa_apps.measure.peers.ceilings import Ceiling
from vljepa_apps.measure.peers.table import PEERS, Peer, chosen
from vljepa_apps.measure.peers.workload import Operations
from vljepa_apps.measure.side_by_side.page import page, side_tables
from vljepa_apps.measure.side_by_side.report import Line, SideBySide, Workplace
from vljepa_apps.tables import text
from vljepa_runtime.contract import GRAPH_NAMES, PREDICTOR, X_ENCODER
from vljepa_runtime.statistics import STAGES, SessionStats, StageStats

ROOT = Path(__file__).parents[4]
PAGE = ROOT / "docs" / "performance.md"
FULL = "Full size: 3 of 24 layers of ViT-L, 1 of 8 of the predictor"
MACHINE = dict.fromkeys(
    ("cpu", "cores", "system", "python", "load", "date", "commit", "vljepa-edge", "numpy", "onnxruntime", "torch",
     "openvino"),
    "1",
)  # fmt: skip
BUNDLE = Peer(
    name="bundle",
    title="ours, tiny (int8-dynamic)",
    module="ours",
    products="int8",
    attention="fp32",
    install="",
)


def line(peer: Peer, graphs: tuple[str, ...], ms: float) -> Line:
    """One that was measured: every cell takes as long."""
    latency = {name: summarise([ms] * 12) for name in ("window", *graphs)}
    return Line(peer=peer, detail="it ran", latency=latency, cold_start_s=1.0, peak_rss_mb=100.0, cosine=1.0)


def place(title: str, peers: tuple[Peer, ...], graphs: tuple[str, ...]) -> Workplace:
    return Workplace(
        title=title,
        operations=dict.fromkeys(graphs, Operations(products=3_000_000, attention=1_000_000)),
        tokens=256,
        lines=tuple(line(peer, graphs, 10.0 / (index + 1)) for index, peer in enumerate(peers)),
    )


def session(busy_s: float) -> SessionStats:
    """10 windows of a stream: 60 ms of inference, 20 ms of waiting for the video."""
    stage = StageStats(count=10, total_ms=20.0, p50_ms=2.0, p95_ms=3.0)
    return SessionStats(
        windows=10, queries=1, decisions=2, decodings=2, media_s=10.0, busy_s=busy_s, p50_ms=10.0, p95_ms=11.0,
        latency=dict.fromkeys(STAGES, stage),
    )  # fmt: skip


@pytest.fixture
def found() -> SideBySide:
    """All lines of a machine without a GPU, of both sizes."""
    here = tuple(peer for peer in PEERS if peer.device == "cpu")
    beside = (BUNDLE, *(peer for peer in here if peer.name != "ours-onnx-int8"))
    full = place(FULL, here, (X_ENCODER, PREDICTOR))
    full.lines[0].stream = session(20.0)
    return SideBySide(
        machine=MACHINE | {"nncf": "1"},
        command="vljepa bench tiny --against all --markdown docs/performance.md --png docs/images/performance.png "
        "--full-size --force",
        ceilings=tuple(
            Ceiling(kind=kind, library=library, gops=gops)
            for kind, library, gops in (
                ("fp32", "a", 1.0),
                ("fp32", "b", 2.0),
                ("bf16", "b", 4.0),
                ("int8", "b", 8.0),
            )
        ),
        places=(place("tiny", beside, GRAPH_NAMES), full),
        able=frozenset({"bf16"}),
        seconds=400.0,
    )


@pytest.fixture
def stream() -> Benchmark:
    stats = session(0.1)
    return Benchmark(
        bundle="tiny", engine="onnxruntime:cpu", machine=MACHINE, peak_rss_mb=None, latency={}, stream=stats
    )


def skeleton(written: str) -> list[str]:
    """Headings, heads of tables, and prose with its numbers taken out; which lines there are is up to the machine."""
    kept: list[str] = []
    for block in written.split("\n\n"):
        if block.startswith("|"):
            kept.append(block.splitlines()[0])
        elif not block.startswith(("Measured on", "    ")):
            kept.append(re.sub(r"\d[\d.,:/-]*", "N", " ".join(block.split())))
    return kept


def lines(written: str) -> set[str]:
    """First cells of the tables that have a row for each line, without the checkpoint's name."""
    tables = (block.splitlines() for block in written.split("\n\n") if block.startswith("| line |"))
    return {row.split("|")[1].strip().partition(" (")[0] for table in tables for row in table[2:]}


def test_the_page_of_the_documentation_is_what_the_command_writes(
    found: SideBySide, stream: Benchmark
) -> None:
    committed = PAGE.read_text("utf-8")
    places = found.places if FULL in committed else found.places[:1]  # --full-size is an option
    able = frozenset({"bf16"} if "no instructions for bfloat16" not in committed else {})  # of its machine
    written = page(replace(found, places=places, able=able), stream, picture="images/performance.png")
    missing = "| line | why, and what brings it |"
    assert [part for part in skeleton(committed) if part != missing] == skeleton(written)
    assert {"ours, tiny", "torch eager, fp32"} < lines(committed)
    assert lines(committed) <= {"ours, tiny", *(peer.title for peer in PEERS)}


def test_a_share_is_the_time_of_the_products_at_their_ceilings(found: SideBySide) -> None:
    tiny = found.places[0]
    (bundle,) = (each for each in tiny.lines if each.peer.name == "bundle")
    # X-encoder and predictor: 6 M products at 8 x 10^9/s and 2 M inside attention at 2 x 10^9/s, in 10 ms
    assert tiny.share(bundle, found.best) == pytest.approx((6e6 / 8e9 + 2e6 / 2e9) / 0.010)
    assert tiny.gops(bundle) == pytest.approx(8e6 / 0.010 / 1e9)
    assert tiny.share(bundle, found.best, X_ENCODER) == pytest.approx((6e6 / 8e9 + 2e6 / 2e9) / 0.010 / 2)
    (base,) = (each for each in tiny.lines if each.peer.name == "torch-fp32")
    ratio = tiny.faster(bundle)
    assert ratio is not None
    assert ratio.value == pytest.approx(base.latency["window"].p50_ms / 10.0)


def test_the_fastest_of_ours_is_held_against_the_fastest_of_the_others(
    found: SideBySide, stream: Benchmark
) -> None:
    """The later a line of the fixture, the faster: ours is the second, theirs the last of ten."""
    tiny = found.places[0]
    mine, peer = tiny.fastest(ours=True), tiny.fastest(ours=False)
    assert mine is not None
    assert peer is not None
    assert (mine.peer.name, peer.peer.name) == ("ours-openvino-int8", "openvino-nncf")
    row = next(row for row in page(found, stream).splitlines() if row.startswith("| tiny |"))
    assert row.endswith("| 0.20 [0.20, 0.20] |")
    assert replace(tiny, lines=()).fastest(ours=True) is None


def test_a_type_that_is_slower_than_float32_is_held_against_float32(found: SideBySide) -> None:
    slow = Ceiling(kind="bf16", library="b", gops=0.5)
    emulating = replace(found, ceilings=(*(each for each in found.ceilings if each.kind != "bf16"), slow))
    assert {kind: each.gops for (_, kind), each in emulating.best.items()} == {
        "fp32": 2,
        "bf16": 2,
        "int8": 8,
    }


def test_lines_that_the_machine_has_nothing_for_are_named(found: SideBySide, stream: Benchmark) -> None:
    said = "no instructions for bfloat16"
    assert said not in page(found, stream)
    assert said in page(replace(found, able=frozenset()), stream)


@pytest.mark.parametrize(("load", "disturbed"), [("0.4", False), ("15.0", True)])
def test_a_busy_machine_is_named_so(found: SideBySide, stream: Benchmark, load: str, disturbed: bool) -> None:
    written = page(replace(found, machine={**found.machine, "load": load}), stream)
    assert f"load average {load}" in " ".join(written.split())
    assert ("Other work had the cores" in written) == disturbed


def failed(each: Line) -> Line:
    each.latency["window"] = Latency(error="RuntimeError: no kernel")
    return each


def gone(each: Line) -> Line:
    return Line(peer=each.peer, missing="no module: pip install it")


@pytest.mark.parametrize(
    ("change", "shown"), [(failed, "failed: RuntimeError: no kernel"), (gone, "pip install it")]
)
def test_what_could_not_be_measured_is_told_and_the_rest_stays(
    found: SideBySide, stream: Benchmark, change: Callable[[Line], Line], shown: str
) -> None:
    tiny = found.places[0]
    lines = tuple(change(each) if each.peer.name == "torch-fp32" else each for each in tiny.lines)
    broken = replace(found, places=(replace(tiny, lines=lines), found.places[1]), ceilings=())
    written = page(broken, stream)
    assert shown in written
    assert "OpenVINO, bf16" in written
    assert shown in text(side_tables(broken))
    assert not broken.failed
    assert broken.to_dict()["checkpoints"][0]["peers"][0]["name"] == "bundle"


def test_our_own_bundle_that_fails_is_a_failure(found: SideBySide) -> None:
    tiny = found.places[0]
    assert not found.failed
    assert replace(found, places=(replace(tiny, lines=(failed(tiny.lines[0]),)),)).failed
    assert replace(found, places=(replace(tiny, lines=(gone(tiny.lines[0]),)),)).failed


def test_lines_of_the_page_are_as_short_as_others(found: SideBySide, stream: Benchmark) -> None:
    written = page(found, stream, picture="images/performance.png")
    assert max(len(row) for row in written.splitlines() if not row.startswith("|")) <= 150
    assert "    vljepa bench tiny" in written


def test_each_stream_tells_what_was_not_inference(found: SideBySide, stream: Benchmark) -> None:
    """60 ms of 0.1 s are, and of 20 s."""
    told = " ".join(page(found, stream).partition("## A stream")[2].partition("## Ceilings")[0].split())
    times = "10 s, 10 windows, 2 decodings"
    ours = (
        f"`tiny` on `onnxruntime:cpu`: {times}, 100 times real time; overhead 20.0 % of the time, 40.0 % with"
    )
    assert ours in told
    assert (
        f"{FULL}, the fastest of ours: {times}, 0.5 times real time; overhead 99.6 % of the time, 99.7 %"
        in told
    )
    assert f"**{FULL}**" in told
    plain = found.to_dict()["checkpoints"][1]["peers"][0]["stream"]
    assert (plain["windows"], plain["latency"]["encode"]["total_ms"]) == (10, 20.0)


def test_the_picture_is_drawn(found: SideBySide, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from vljepa_apps.measure.side_by_side.picture import draw

    draw(found, tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_peers_on_a_gpu_have_ceilings_of_their_own(found: SideBySide) -> None:
    (cuda,) = chosen("torch-cuda-bf16")
    ceiling = Ceiling(kind="bf16", library="b", gops=1000.0, device="cuda")
    on_gpu = replace(found, ceilings=(*found.ceilings, ceiling), able=frozenset({"bf16", "cuda"}))
    tiny = found.places[0]
    assert tiny.share(line(cuda, GRAPH_NAMES, 1.0), found.best) is None
    assert tiny.share(line(cuda, GRAPH_NAMES, 1.0), on_gpu.best) == pytest.approx(8e6 / 1000e9 / 1e-3)
