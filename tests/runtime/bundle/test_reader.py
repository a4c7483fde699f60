"""Bundles: what is written is read back, and nothing hostile gets through."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import stat
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vljepa_runtime.bundle import Bundle
from vljepa_runtime.bundle.entries import check_file_name
from vljepa_runtime.bundle.reader import SHIPPED
from vljepa_runtime.bundle.stores import MAX_MANIFEST_BYTES
from vljepa_runtime.errors import BundleError


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change `bundle.json` in place."""
    path = folder / "bundle.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize("form", ["zip", "folder"])
def test_open_reads_the_same_from_a_zip_and_a_folder(form: str, small_zip: Path, small_folder: Path) -> None:
    bundle = Bundle.open(small_zip if form == "zip" else small_folder)
    assert bundle.name == "small"
    assert bundle.manifest.embedding_dim == 8
    data = bundle.read("x_encoder.onnx")
    assert hashlib.sha256(data).hexdigest() == bundle.manifest.files["x_encoder.onnx"].sha256
    assert bundle.view("x_encoder.onnx") == data
    assert (bundle.descriptor("x_encoder.onnx") is None) == (form == "zip")


def test_the_committed_bundle_is_what_its_builder_makes(tmp_path: Path, small_zip: Path) -> None:
    pytest.importorskip("onnx")
    spec = importlib.util.spec_from_file_location("tiny_bundle", Path(__file__).parents[1] / "tiny_bundle.py")
    assert spec is not None
    assert spec.loader is not None
    builder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(builder)
    made = builder.write(tmp_path / "again.vljepa")
    assert made.manifest.graphs == Bundle.open(small_zip).manifest.graphs
    assert set(made.manifest.files) == set(Bundle.open(small_zip).manifest.files)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda m: m.update(format=2), "expected format 1, got 2", id="newer-format"),
        pytest.param(lambda m: m.update(format=True), "expected format 1", id="format-is-no-number"),
        pytest.param(lambda m: m.pop("format"), "not a vljepa bundle", id="no-format"),
        pytest.param(lambda m: m.update(extra=1), "unknown keys extra", id="unknown-key"),
        pytest.param(lambda m: m.pop("graphs"), "`graphs` is missing", id="missing-key"),
        pytest.param(lambda m: m.update(embedding_dim="8"), "expected a whole number", id="wrong-type"),
        pytest.param(lambda m: m.update(embedding_dim=0), "above 0", id="zero-dim"),
        pytest.param(lambda m: m.update(graphs=[]), "expected an object", id="graphs-is-a-list"),
        pytest.param(lambda m: m.update(target="exe"), "expected target", id="unknown-target"),
        pytest.param(
            lambda m: m["preprocess"].update(fps=-1),
            "fps: expected a finite number above 0, got -1",
            id="bad-preprocess",
        ),
        pytest.param(lambda m: m["preprocess"].update(zoom=2), "unknown keys zoom", id="unknown-preprocess"),
        pytest.param(
            lambda m: m["graphs"]["predictor"].update(file="../../etc/passwd"),
            "plain file name",
            id="climbs-out",
        ),
        pytest.param(
            lambda m: m["graphs"]["predictor"].update(external=["/etc/passwd"]),
            "plain file name",
            id="absolute",
        ),
        pytest.param(
            lambda m: m["tokenizers"].update(predictor="..\\x.json"), "plain file name", id="backslash"
        ),
        pytest.param(lambda m: m["files"].update({"a/../b": {}}), "expected|missing", id="dots-inside"),
        pytest.param(
            lambda m: m["graphs"]["predictor"]["inputs"][0].update(dtype="object"),
            "expected one of",
            id="dtype",
        ),
        pytest.param(
            lambda m: m["graphs"]["predictor"].update(file="nowhere.onnx"),
            "without size and hash",
            id="unlisted",
        ),
        pytest.param(
            lambda m: m["files"]["x_encoder.onnx"].update(size=-1), "at least 0", id="negative-size"
        ),
        pytest.param(
            lambda m: m["files"]["x_encoder.onnx"].update(size=2**62), "at most 137438953472", id="huge-size"
        ),
        pytest.param(
            lambda m: m["files"]["x_encoder.onnx"].update(sha256="00"), "64 hexadecimal", id="short-hash"
        ),
        pytest.param(
            lambda m: m["files"]["x_encoder.onnx"].update(sha256="0" * 64), "damaged", id="other-hash"
        ),
        pytest.param(
            lambda m: m["files"].update({"X_encoder.onnx": m["files"]["x_encoder.onnx"]}),
            "case",
            id="case-twins",
        ),
        pytest.param(
            lambda m: m["files"].update({f"f{i}": m["files"]["x_encoder.onnx"] for i in range(300)}),
            "at most 256",
            id="too-many-files",
        ),
        pytest.param(lambda m: m.update(accuracy={"recall": "high"}), "finite number", id="accuracy-is-text"),
    ],
)
def test_open_refuses_a_manifest(
    small_folder: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit(small_folder, change)
    with pytest.raises(BundleError, match=message):
        Bundle.open(small_folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "not readable JSON", id="empty"),
        pytest.param("\xff\xfe", "not a vljepa bundle|not readable JSON", id="not-json"),
        pytest.param("[1]", "not a vljepa bundle", id="not-an-object"),
        pytest.param('{"format": 1, "format": 1}', "twice", id="key-twice"),
        pytest.param('{"format": NaN}', "not readable JSON", id="nan"),
        pytest.param("[" * 100_000, "not readable JSON", id="deep"),
        pytest.param('{"format": 1, "name": "' + "x" * MAX_MANIFEST_BYTES + '"}', "at most", id="oversized"),
    ],
)
def test_open_refuses_json(small_folder: Path, text: str, message: str) -> None:
    (small_folder / "bundle.json").write_text(text)
    with pytest.raises(BundleError, match=message):
        Bundle.open(small_folder)


def damage_link(folder: Path) -> None:
    (folder / "x_encoder.onnx").rename(folder.parent / "outside.onnx")
    (folder / "x_encoder.onnx").symlink_to(folder.parent / "outside.onnx")


def damage_manifest_link(folder: Path) -> None:
    (folder / "bundle.json").rename(folder.parent / "outside.json")
    (folder / "bundle.json").symlink_to(folder.parent / "outside.json")


def damage_pipe(folder: Path) -> None:
    (folder / "x_encoder.onnx").unlink()
    os.mkfifo(folder / "x_encoder.onnx")


def damage_missing(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def damage_truncate(folder: Path) -> None:
    os.truncate(folder / "x_encoder.onnx", 100)


def damage_flip(folder: Path) -> None:
    data = bytearray((folder / "x_encoder.onnx").read_bytes())
    data[500] ^= 1
    (folder / "x_encoder.onnx").write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(damage_link, "a link or a special file", id="symlink"),
        pytest.param(damage_manifest_link, "a link or a special file", id="manifest-symlink"),
        pytest.param(damage_pipe, "a link or a special file", id="fifo"),
        pytest.param(damage_missing, "lacks the file tokenizer.json", id="missing"),
        pytest.param(damage_truncate, "expected .* bytes, got 100", id="truncated"),
        pytest.param(damage_flip, "expected sha256", id="bit-flip"),
    ],
)
def test_open_refuses_files(small_folder: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(small_folder)
    with pytest.raises(BundleError, match=message):
        Bundle.open(small_folder)


def test_without_verify_a_damaged_file_is_still_caught_before_use(small_folder: Path) -> None:
    damage_flip(small_folder)
    bundle = Bundle.open(small_folder, verify=False)
    assert bundle.read("tokenizer.json")
    for use in (bundle.read, bundle.view):
        with pytest.raises(BundleError, match="expected sha256"):
            use("x_encoder.onnx")


def rezip(source: Path, to: Path, change: Callable[[zipfile.ZipFile, zipfile.ZipInfo, bytes], None]) -> Path:
    """Copy a zip member by member; `change` writes each member of the copy."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(to, "w") as new:
        for info in old.infolist():
            change(new, info, old.read(info))
    return to


def pack(new: zipfile.ZipFile, info: zipfile.ZipInfo, data: bytes) -> None:
    new.writestr(info, data, zipfile.ZIP_DEFLATED)


def repeat(new: zipfile.ZipFile, info: zipfile.ZipInfo, data: bytes) -> None:
    new.writestr(info, data)
    if info.filename == "tokenizer.json":
        new.writestr("tokenizer.json", data)


def climb(new: zipfile.ZipFile, info: zipfile.ZipInfo, data: bytes) -> None:
    new.writestr(info, data)
    new.writestr("../evil.txt", b"x")


def link(new: zipfile.ZipFile, info: zipfile.ZipInfo, data: bytes) -> None:
    if info.filename == "tokenizer.json":
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
    new.writestr(info, data)


def crowd(new: zipfile.ZipFile, info: zipfile.ZipInfo, data: bytes) -> None:
    new.writestr(info, data)
    for index in range(300):
        new.writestr(f"{info.filename}{index}", b"")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(pack, "expected a stored member", id="deflated"),
        pytest.param(repeat, "holds tokenizer.json twice", id="name-twice"),
        pytest.param(climb, "plain file name", id="climbs-out"),
        pytest.param(link, "a link or a special file", id="symlink"),
        pytest.param(crowd, "at most 1024 files", id="too-many"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_open_refuses_zips(tmp_path: Path, small_zip: Path, change: Any, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        Bundle.open(rezip(small_zip, tmp_path / "bad.vljepa", change))


@pytest.mark.parametrize("cut", [0, 10, 1000, 20_000])
def test_open_refuses_a_cut_zip(tmp_path: Path, small_zip: Path, cut: int) -> None:
    bad = tmp_path / "cut.vljepa"
    bad.write_bytes(small_zip.read_bytes()[:cut])
    with pytest.raises(BundleError, match="not a readable zip"):
        Bundle.open(bad)


def test_every_single_byte_of_a_zip_may_flip(tmp_path: Path, small_zip: Path) -> None:
    """A flipped byte either changes nothing that is read or gives a `BundleError`, never another exception."""
    data = small_zip.read_bytes()
    bad = tmp_path / "flip.vljepa"
    reference = Bundle.open(small_zip)
    for place in range(0, len(data), 97):
        bad.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            bundle = Bundle.open(bad)
        except BundleError:
            continue
        assert all(bundle.read(name) == reference.read(name) for name in reference.manifest.files)


def test_open_names_what_is_shipped() -> None:
    with pytest.raises(BundleError, match="no bundle at nowhere"):
        Bundle.open("nowhere")
    with pytest.raises(BundleError, match=r"no bundle at Tinny, did you mean 'tiny'\?: expected a .vljepa"):
        Bundle.open("Tinny")


def test_a_bundle_says_what_it_is(small_zip: Path) -> None:
    assert repr(Bundle.open(small_zip)) == "<Bundle small for onnx: 5 graphs of fp32, 0.0 MB>"


def test_graph_and_read_name_what_is_there(small_zip: Path) -> None:
    bundle = Bundle.open(small_zip)
    with pytest.raises(BundleError, match="has no graph 'z', it has x_encoder, predictor"):
        bundle.graph("z")
    with pytest.raises(BundleError, match=r"does not list the file '\.\./secret'"):
        bundle.read("../secret")


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "/a",
        "a/",
        "a//b",
        "./a",
        "a/../b",
        "C:a",
        "a\\b",
        "a\0b",
        "a\n",
        ".hidden",
        "x" * 201,
        "é",
    ],
)
def test_check_file_name_refuses(name: str) -> None:
    with pytest.raises(BundleError, match="plain file name"):
        check_file_name(name)


@pytest.mark.parametrize("name", ["a", "a.onnx", "weights/x_encoder-int8.onnx.data", "0+1"])
def test_check_file_name_accepts(name: str) -> None:
    assert check_file_name(name) == name


class TestWhatShadowsAShippedName:
    @pytest.fixture(autouse=True)
    def here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

    @pytest.mark.parametrize("inside", [(), ("checkpoint/model.safetensors",), ("bundle.json.part",)])
    def test_a_folder_without_a_bundle_does_not(self, inside: tuple[str, ...]) -> None:
        Path("tiny").mkdir()
        for name in inside:
            (Path("tiny") / name).parent.mkdir(exist_ok=True)
            (Path("tiny") / name).touch()
        assert Bundle.open("tiny", verify=False).location == SHIPPED / "tiny.vljepa"

    def test_a_bundle_does(self, small_folder: Path) -> None:
        small_folder.rename("tiny")
        assert Bundle.open("tiny").location == Path("tiny")
        assert Bundle.open("tiny").name != "tiny"

    def test_a_file_does_and_is_named(self) -> None:
        Path("tiny").write_bytes(b"no zip")
        with pytest.raises(BundleError, match="a file named tiny lies here and is no bundle: rename it"):
            Bundle.open("tiny")

    def test_a_path_is_never_a_shipped_name(self) -> None:
        Path("tiny").mkdir()
        with pytest.raises(BundleError, match=r"tiny lacks the file bundle.json"):
            Bundle.open(Path("tiny"))


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "no/such.vljepa"], ids=lambda name: ascii(name)[:8])
def test_a_name_of_nothing(name: str) -> None:
    with pytest.raises(BundleError, match=r"no bundle (at|has the name)"):
        Bundle.open(name)


def replaced(place: Path, content: bytes) -> None:
    """Put another file in the place of one, as an update does."""
    other = place.with_name(f"{place.name}.new")
    other.write_bytes(content)
    os.replace(other, place)


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps what is open")
def test_a_bundle_that_is_replaced_stays_what_was_opened(
    small_zip: Path, small_folder: Path, tmp_path: Path
) -> None:
    place = tmp_path / "b.vljepa"
    place.write_bytes(small_zip.read_bytes())
    for bundle, path in (
        (Bundle.open(place), place),
        (Bundle.open(small_folder), small_folder / "tokenizer.json"),
    ):
        wanted = bundle.read("tokenizer.json")
        replaced(path, b"something else")
        assert bundle.read("tokenizer.json") == wanted
        assert bundle.view("tokenizer.json") == wanted


@pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "read"])
def test_what_is_written_to_in_place_is_noticed(
    mapped: bool, small_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vljepa_runtime.bundle.reader.MAPPED_BYTES", 1 if mapped else 1 << 40)
    bundle = Bundle.open(small_folder)
    before = bytes(bundle.view("tokenizer.json"))
    with (small_folder / "tokenizer.json").open("r+b") as file:
        file.write(b"x")
    if mapped:
        with pytest.raises(BundleError, match="was written to while it was being loaded: load it again"):
            bundle.check_unchanged(["tokenizer.json"])
    with pytest.raises(BundleError, match="expected sha256"):
        bundle.view("tokenizer.json")
    assert before == bytes([before[0]]) + before[1:]


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files")
@pytest.mark.parametrize("form", ["zip", "folder"])
def test_files_are_let_go_with_the_bundle(form: str, small_zip: Path, small_folder: Path) -> None:
    place = small_zip if form == "zip" else small_folder
    before = open_files()
    with Bundle.open(place) as bundle:
        assert open_files() > before
    assert open_files() == before
    with pytest.raises(ValueError, match="closed file"):
        bundle.read("tokenizer.json")
    bundle = Bundle.open(place)
    del bundle
    for _ in range(20):  # a thread of a test before may have a file open for a moment
        if open_files() == before:
            break
        time.sleep(0.1)
    assert open_files() == before
    (small_folder / "tokenizer.json").unlink()
    with pytest.raises(BundleError, match="lacks the file"):
        Bundle.open(small_folder)
    assert open_files() == before


@pytest.mark.skipif(os.name == "nt", reason="needs a file with a hole")
def test_a_list_of_members_that_says_it_is_huge_is_not_read(tmp_path: Path, small_zip: Path) -> None:
    data = bytearray(small_zip.read_bytes())
    end = data.rindex(b"PK\5\6")
    hole = 3 << 30
    bad = tmp_path / "huge.vljepa"
    with bad.open("wb") as file:
        file.seek(hole)
        file.write(data[:end] + data[end : end + 12] + hole.to_bytes(4, "little") + data[end + 16 :])
    with pytest.raises(BundleError, match="its list of members is longer than 1048576 bytes"):
        Bundle.open(bad)
