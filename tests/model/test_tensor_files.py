"""Files of tensors: mapped from safetensors, shards and torch zips; written streaming; refused in one sentence."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save, save_file

from vljepa_model.errors import CheckpointError
from vljepa_model.tensor_files import DTYPES, open_tensors, write_tensors

STATE = {"a": torch.arange(6.0).reshape(2, 3), "b.c": torch.ones(2, dtype=torch.bfloat16)}


def write_shards(folder: Path) -> None:
    save_file({"a": STATE["a"]}, folder / "model-1.safetensors")
    save_file({"b.c": STATE["b.c"]}, folder / "model-2.safetensors")
    places = {"a": "model-1.safetensors", "b.c": "model-2.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


@pytest.mark.parametrize(
    ("write", "name"),
    [
        pytest.param(lambda f: save_file(STATE, f / "x.safetensors"), "x.safetensors", id="safetensors"),
        pytest.param(lambda f: save_file(STATE, f / "model.safetensors"), "", id="folder"),
        pytest.param(write_shards, "", id="shards"),
        pytest.param(
            lambda f: torch.save({"a": STATE["a"], "b": {"c": STATE["b.c"]}}, f / "x.pt"), "x.pt", id="zip"
        ),
        pytest.param(lambda f: torch.save(STATE, f / "pytorch_model.bin"), "", id="bin-folder"),
    ],
)
def test_reads_what_others_wrote(write: Callable[[Path], None], name: str, tmp_path: Path) -> None:
    write(tmp_path)
    files = open_tensors(tmp_path / name)
    assert set(files) == set(STATE)
    for key, tensor in STATE.items():
        assert files.shape(key) == tuple(tensor.shape)
        assert files[key].dtype == tensor.dtype
        assert torch.equal(files[key], tensor)
    assert list(files.beneath("b.")) == ["c"]
    assert torch.equal(files.beneath("b.")["c"], STATE["b.c"])


def test_plain_values_beside_tensors_are_kept(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "config": {"lr": 0.1}, "w": torch.zeros(1)}, tmp_path / "x.pt")
    assert open_tensors(tmp_path / "x.pt").values == {"epoch": 3, "config.lr": 0.1}


def test_streamed_file_is_read_by_safetensors_itself() -> None:
    plan = {"x": (torch.float16, (2, 3)), "s": (torch.float32, ()), "y": (torch.bfloat16, (4,))}
    tensors = {"x": torch.randn(2, 3), "s": torch.tensor(2.0), "y": torch.randn(8)[::2]}
    file, asked = io.BytesIO(), []

    def get(name: str) -> torch.Tensor:
        asked.append(name)
        return tensors[name]

    write_tensors(file, plan, get)
    found = load(file.getvalue())
    assert asked == list(plan)
    assert {name: (t.dtype, tuple(t.shape)) for name, t in found.items()} == plan
    assert all(torch.equal(found[name], tensors[name].to(plan[name][0])) for name in plan)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [(torch.zeros(3), r"x: expected shape \(2,\), got \(3,\)"), (torch.full((2,), 1e6), "cannot hold")],
)
def test_refuses_to_write(tensor: torch.Tensor, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        write_tensors(io.BytesIO(), {"x": (torch.float16, (2,))}, lambda name: tensor)


class Bomb:
    """Would run a command when unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return (print, ("this must never be printed",))


def cut(path: Path, count: int) -> None:
    path.write_bytes(path.read_bytes()[:-count])


def write_cut_safetensors(folder: Path) -> None:
    save_file(STATE, folder / "x.safetensors")
    cut(folder / "x.safetensors", 3)


def write_cut_zip(folder: Path) -> None:
    torch.save(STATE, folder / "x.pt")
    cut(folder / "x.pt", 200)


def write_lost_shard(folder: Path) -> None:
    write_shards(folder)
    (folder / "model-2.safetensors").unlink()


def write_wandering_index(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "../secret.safetensors"}})
    )


def write_lying_index(folder: Path) -> None:
    write_shards(folder)
    places = {"a": "model-1.safetensors", "b.c": "model-2.safetensors", "d": "model-1.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


@pytest.mark.parametrize(
    ("write", "name", "message"),
    [
        pytest.param(lambda f: None, "nothing.pt", "does not exist", id="missing"),
        pytest.param(lambda f: None, "", "holds no weights: expected model.safetensors", id="empty-folder"),
        pytest.param(
            lambda f: (f / "x.txt").write_text("x"), "x.txt", "expected a .safetensors, .pt", id="suffix"
        ),
        pytest.param(
            write_cut_safetensors, "x.safetensors", "not a readable safetensors file", id="cut-safetensors"
        ),
        pytest.param(
            lambda f: (f / "x.safetensors").write_bytes(b"\xff" * 64),
            "x.safetensors",
            "not a readable safetensors file",
            id="no-safetensors",
        ),
        pytest.param(write_cut_zip, "x.pt", "is damaged, or holds more than tensors", id="cut-zip"),
        pytest.param(
            lambda f: torch.save({"w": Bomb()}, f / "x.pt"),
            "x.pt",
            "holds more than tensors and plain values, which is not executed",
            id="code-in-zip",
        ),
        pytest.param(
            lambda f: (f / "x.pt").write_bytes(pickle.dumps({"w": Bomb()})),
            "x.pt",
            "not a torch zip",
            id="pickle",
        ),
        pytest.param(write_lost_shard, "", "lacks model-2.safetensors that its index names", id="lost-shard"),
        pytest.param(write_wandering_index, "", "expected files of this folder", id="shard-outside"),
        pytest.param(write_lying_index, "", "its index names d, which no shard holds", id="index-lies"),
        pytest.param(
            lambda f: (f / "model.safetensors.index.json").write_text("{"),
            "",
            "not readable JSON",
            id="index-broken",
        ),
        pytest.param(
            lambda f: (f / "model.safetensors.index.json").write_text("{}"),
            "",
            "expected a weight_map",
            id="no-map",
        ),
    ],
)
def test_refuses_in_one_sentence(
    write: Callable[[Path], object],
    name: str,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(tmp_path)
    with pytest.raises(CheckpointError, match=message) as caught:
        open_tensors(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert "never be printed" not in capsys.readouterr().out


def test_mapped_tensors_may_be_written_to_and_the_file_stays(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "x.safetensors")
    open_tensors(tmp_path / "x.safetensors")["a"].fill_(7.0)
    assert torch.equal(open_tensors(tmp_path / "x.safetensors")["a"], STATE["a"])


@pytest.mark.parametrize("dtype", [*DTYPES.values()], ids=str)
def test_every_type_of_the_layout_is_read_wherever_it_lies(dtype: torch.dtype, tmp_path: Path) -> None:
    state = {"odd": torch.ones(3, dtype=torch.uint8), "t": torch.ones(2, 3).to(dtype), "none": torch.zeros(0)}
    save_file(state, tmp_path / "x.safetensors")
    found = open_tensors(tmp_path / "x.safetensors")
    for name, tensor in state.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name].float(), tensor.float())


def test_bytes_after_the_tensors_of_a_truncated_header(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(save(STATE)[:7])
    with pytest.raises(CheckpointError, match="not a readable"):
        open_tensors(tmp_path / "x.safetensors")
