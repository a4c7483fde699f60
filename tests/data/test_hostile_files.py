"""Annotations, tensors and references as a stranger or a bad disk may give them: read, or an error of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vljepa_apps.arguments import read_lines
from vljepa_data.annotations import read_annotations
from vljepa_data.errors import AnnotationError
from vljepa_evaluation.gates import Behaviour, Reference, Scenes, compare_behaviours
from vljepa_runtime.errors import BundleError, InputError, VljepaError
from vljepa_runtime.files.tensors import pack

ODD = ["\u2028", "\u2029", "\x85", "\f", "\v", "\x1c", "\x1d", "\x1e"]
"""What `str.splitlines` cuts at, and JSON, CSV and people do not."""


CASES = [
    pytest.param(kind, mark, id=f"{kind} {mark!a}")
    for kind in ("m.jsonl", "m.csv", "k.csv", "msvd.txt")
    for mark in (ODD[:3] if kind == "m.jsonl" else ODD)  # JSON does not allow the others inside a text
]


@pytest.mark.parametrize(("kind", "mark"), CASES)
@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_only_a_line_feed_ends_a_line(tmp_path: Path, kind: str, mark: str, ending: str) -> None:
    text = f"a red{mark}ball rolls"
    files = {
        "m.jsonl": [json.dumps({"path": f"{i}.mp4", "text": text}, ensure_ascii=False) for i in (1, 2)],
        "m.csv": ["path,text", f"1.mp4,{text}", f"2.mp4,{text}"],
        "k.csv": ["label,youtube_id,time_start,time_end,split", f"{text},a,0,2,train", f"{text},b,0,2,train"],
        "msvd.txt": ["# captions", f"a_0_2 {text}", f"b_0_2 {text}"],
    }
    file = tmp_path / kind
    file.write_bytes((ending.join(files[kind]) + ending).encode())
    assert [example.text for example in read_annotations(file)] == [text, text]


@pytest.mark.parametrize("mark", ODD, ids=ascii)
def test_only_a_line_feed_ends_a_label(tmp_path: Path, mark: str) -> None:
    (tmp_path / "labels.txt").write_bytes(f"a red{mark}ball\r\n\r\na box\n".encode())
    assert read_lines(tmp_path / "labels.txt") == [f"a red{mark}ball", "a box"]


def test_a_csv_field_may_hold_lines(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b'path,text\r\n1.mp4,"two\r\nlines"\r\n2.mp4,one\r\n')
    assert [example.text for example in read_annotations(tmp_path / "m.csv")] == ["two\r\nlines", "one"]


KINETICS = "label,youtube_id,time_start,time_end,split\nrun,abc,{},{},train\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("k.csv", KINETICS.format("nan", "2"), "line 2: expected a number of seconds for 'time_start', got 'nan'"),
        ("k.csv", KINETICS.format("0", "inf"), "line 2: expected a number of seconds for 'time_end'"),
        ("k.csv", KINETICS.format("0", "1e300"), "line 2: expected a number of seconds"),
        ("k.csv", KINETICS.format("0", "9" * 5000), "line 2: expected a number of seconds"),
        ("k.csv", "label,youtube_id,time_start,time_end\n" + "x" * 200_000 + ",a,0,1\n", "line 2: not CSV: field"),
        ("k.csv", "label,youtube_id,time_start,time_end\na\rb,a,0,1\n", "line 2: not CSV"),
        ("a.txt", "v_nan_2 a caption\n", "line 1: expected a number of seconds for the start"),
        ("a.txt", "v_0_1e999 a caption\n", "line 1: expected a number of seconds for the end"),
        ("m.jsonl", '{"path": "a", "text": "b", "start_s": NaN}\n', "line 1: not JSON"),
        ("m.jsonl", '{"path": "a", "text": "b", "end_s": 1' + "0" * 400 + "}\n", "line 1: not JSON: a number has 401"),
        ("m.jsonl", '{"path": "a", "text": "b", "end_s": 1e99}\n', "line 1: expected a number of seconds"),
        ("m.jsonl", '{"path": "a", "path": "b", "text": "c"}\n', "line 1: not JSON: a key appears twice"),
        ("m.jsonl", '{"path": {"a": 1}, "text": "c"}\n', "line 1: expected text for 'path'"),
        ("m.jsonl", '{"path": "a\\u0000b", "text": "c"}\n', "line 1: expected text for 'path'"),
        ("m.jsonl", '{"path": "a", "text": "\\ud800"}\n', "line 1: not JSON: a text holds half"),
        ("m.jsonl", "[" * 100_000 + "\n", "line 1: not JSON: it is nested too deeply"),
        ("m.json", "[" * 100_000, "nested too deeply"),
        ("m.json", '{"videos": [], "videos": []}', "twice"),
        ("m.json", '{"videos": [1], "sentences": []}', r"videos\[0\]: expected an object"),
        ("m.json", '{"videos": 1}', "expected a list 'videos'"),
    ],
)  # fmt: skip
def test_annotations_are_refused_with_file_and_line(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_bytes(content.encode())
    with pytest.raises(AnnotationError, match=rf"{name}.*{message}"):
        read_annotations(tmp_path / name)


def test_a_sparse_file_of_annotations_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "m.jsonl").open("wb") as file:
        file.truncate(1 << 32)
    with pytest.raises(AnnotationError, match="at most 1073741824 bytes"):
        read_annotations(tmp_path / "m.jsonl")


def reference(**changes: Any) -> bytes:
    arrays = {
        **{"e": np.eye(2, 4, dtype=np.float32), "r": np.zeros((2, 3), np.int32)},
        **{"l": np.zeros(2, np.int32), "t": np.zeros(1)},
    }
    seen = {"checksum": 7, "embeddings": "e", "ranks": "r", "labels": "l", "triggers_s": "t"}
    texts: dict[str, Any] = {
        "samples": {"x_encoder": [{"feeds": {"patches": "e"}, "outputs": ["e"]}]},
        "scenes": {"clips": 2, "seconds": 4.0},
        "behaviour": seen,
        **changes,
    }
    return pack(arrays, {name: json.dumps(text) for name, text in texts.items()})


def test_a_reference_is_read() -> None:
    found = Reference.from_bytes(reference())
    assert found.scenes == Scenes(clips=2, seconds=4.0)
    assert found.behaviour is not None
    assert found.behaviour.checksum == 7


SEEN = {"checksum": 7, "embeddings": "e", "ranks": "r", "labels": "l", "triggers_s": "t"}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"behaviour": {**SEEN, "checksum": float("-inf")}}, id="checksum infinite"),
        pytest.param({"behaviour": {**SEEN, "checksum": 2**40}}, id="checksum too long"),
        pytest.param({"behaviour": {**SEEN, "checksum": "7"}}, id="checksum is text"),
        pytest.param({"behaviour": {**SEEN, "embeddings": "l"}}, id="embeddings of one axis"),
        pytest.param({"behaviour": {**SEEN, "labels": "t"}}, id="labels of other clips"),
        pytest.param({"behaviour": {**SEEN, "ranks": ["r"]}}, id="a list for a name"),
        pytest.param({"behaviour": {"checksum": 7}}, id="nothing seen"),
        pytest.param({"behaviour": []}, id="a list"),
        pytest.param({"scenes": {"clips": 10**9}}, id="a thousand million clips"),
        pytest.param({"scenes": {"clips": 2.0}}, id="clips no whole number"),
        pytest.param({"scenes": {"clips": True}}, id="clips true"),
        pytest.param({"scenes": {"seconds": 1e12}}, id="a stream without end"),
        pytest.param({"scenes": {"seconds": "4"}}, id="seconds is text"),
        pytest.param({"scenes": {"threshold": None}}, id="no threshold"),
        pytest.param({"scenes": {"seed": -1}}, id="seed below 0"),
        pytest.param({"scenes": {"zoom": 1}}, id="unknown setting"),
        pytest.param({"samples": []}, id="samples is a list"),
        pytest.param({"samples": {"x_encoder": [{"feeds": {"patches": "none"}}]}}, id="tensor missing"),
        pytest.param({"samples": {"x_encoder": 7}}, id="group is a number"),
    ],
)
def test_a_reference_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match="is not a reference of this version"):
        Reference.from_bytes(reference(**changes))


def test_a_reference_that_names_one_tensor_a_million_times_is_cut() -> None:
    entry = {"feeds": {"patches": "e"}, "outputs": ["e"]}
    found = Reference.from_bytes(reference(samples={"x_encoder": [entry] * 5000}))
    assert len(found.samples["x_encoder"]) == 64


def test_behaviours_of_other_models_are_not_compared() -> None:
    def behaviour(width: int) -> Behaviour:
        return Behaviour(
            checksum=1,
            embeddings=np.ones((2, width), np.float32),
            ranks=np.zeros((2, 5), np.int32),
            labels=np.zeros(2, np.int32),
            triggers_s=np.zeros(0),
        )

    assert compare_behaviours(behaviour(4), behaviour(4)).labels == 1.0
    with pytest.raises(InputError, match="another model"):
        compare_behaviours(behaviour(4), behaviour(8))


def test_every_error_is_of_the_tree() -> None:
    assert issubclass(AnnotationError, VljepaError)
