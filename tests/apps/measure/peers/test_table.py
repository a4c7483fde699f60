"""Every row has a file that makes and opens it, and a name of its own."""

from __future__ import annotations

from importlib import import_module

import pytest

from vljepa_apps.measure.peers.table import PEERS, Peer, chosen
from vljepa_runtime.errors import InputError


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_row_has_its_file(peer: Peer) -> None:
    module = import_module(f"vljepa_apps.measure.peers.{peer.module}")
    assert callable(module.prepare)
    assert callable(module.open_backend)
    assert peer.install.startswith("pip install")


def test_what_a_machine_must_have_is_said() -> None:
    needs = {peer.name: peer.needs for peer in PEERS}
    assert {name for name, need in needs.items() if need == "cuda"} == {
        peer.name for peer in PEERS if peer.device == "cuda"
    }
    assert {name for name, need in needs.items() if need == "bf16"} == {
        "torch-bf16", "torch-compile-bf16", "openvino-bf16",
    }  # fmt: skip


def test_names_and_titles_are_told_apart() -> None:
    assert len({peer.name for peer in PEERS}) == len({peer.title for peer in PEERS}) == len(PEERS)


def test_peers_are_chosen_by_name() -> None:
    assert chosen("all") == PEERS
    assert [peer.name for peer in chosen("torch-bf16, openvino-nncf")] == ["torch-bf16", "openvino-nncf"]
    with pytest.raises(InputError, match=r"--against all, or some of .*, got 'torch-bf61': did you mean"):
        chosen("torch-bf61")
