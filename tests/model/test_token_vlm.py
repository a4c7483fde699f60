"""The token-space VLM: the same numbers as transformers' Llama, and fast paths that equal slow ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vljepa_model.config import TextStackConfig
from vljepa_model.token_vlm import TokenVLM

EOS = 2


@pytest.fixture
def vlm() -> TokenVLM:
    torch.manual_seed(0)
    stack = TextStackConfig(width=24, depth=2, heads=4, kv_heads=2, head_dim=8, mlp=40)
    vlm = TokenVLM(stack, visual_width=10, vocab_size=30).eval()
    with torch.no_grad():
        for parameter in vlm.parameters():
            if parameter.ndim == 2:
                parameter.mul_(8)
    return vlm


@pytest.fixture
def visual() -> Tensor:
    return torch.randn(3, 5, 10, generator=torch.Generator().manual_seed(1))


def test_it_is_llama_behind_projected_visual_tokens(vlm: TokenVLM, visual: Tensor) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        intermediate_size=40, vocab_size=30, rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=True,
    )  # fmt: skip
    oracle = transformers.LlamaForCausalLM(config).eval()
    state = {"model.embed_tokens.weight": vlm.embed.weight, "model.norm.weight": vlm.stack.norm.weight}
    for index, block in enumerate(vlm.stack.blocks):
        layer = f"model.layers.{index}"
        query, key, value = block.qkv.weight.split([32, 16, 16])
        gate, up = block.gate_up.weight.chunk(2)
        state |= {
            f"{layer}.self_attn.q_proj.weight": query, f"{layer}.self_attn.k_proj.weight": key,
            f"{layer}.self_attn.v_proj.weight": value, f"{layer}.self_attn.o_proj.weight": block.proj.weight,
            f"{layer}.mlp.gate_proj.weight": gate, f"{layer}.mlp.up_proj.weight": up,
            f"{layer}.mlp.down_proj.weight": block.down.weight, f"{layer}.input_layernorm.weight": block.norm1.weight,
            f"{layer}.post_attention_layernorm.weight": block.norm2.weight,
        }  # fmt: skip
    assert not oracle.load_state_dict(state, strict=False).unexpected_keys
    ids = torch.randint(3, 30, (3, 7), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        embedded = torch.cat((vlm.visual(visual), vlm.embed(ids)), dim=1)
        expected = oracle(inputs_embeds=embedded).logits[:, 5:-1]
        torch.testing.assert_close(vlm(visual, ids), expected, atol=1e-4, rtol=1e-4)


def test_generating_with_a_cache_takes_the_likeliest_token_of_each_full_pass(
    vlm: TokenVLM, visual: Tensor
) -> None:
    prompt = torch.tensor([[4, 5, 1]])
    with torch.inference_mode():
        fast = vlm.generate(visual, prompt, eos_id=EOS, limit=6)
        for row, answer in enumerate(fast):
            ids = prompt
            for _ in range(6):
                following = torch.cat((ids, torch.zeros(1, 1, dtype=torch.long)), dim=1)
                token = int(vlm(visual[row : row + 1], following)[0, -1].argmax())
                if token == EOS:
                    break
                ids = torch.cat((ids, torch.tensor([[token]])), dim=1)
            assert answer == ids[0, 3:].tolist()


def test_an_answer_ends_at_eos_whatever_the_others_do(vlm: TokenVLM, visual: Tensor) -> None:
    with torch.inference_mode():
        free = vlm.generate(visual, torch.tensor([[4, 1]]), eos_id=29, limit=5)
        stop = free[0][1]
        cut = vlm.generate(visual, torch.tensor([[4, 1]]), eos_id=stop, limit=5)
    assert cut == [row[: row.index(stop)] if stop in row else row for row in free]


def test_scores_are_mean_log_likelihoods_of_the_full_pass(vlm: TokenVLM, visual: Tensor) -> None:
    prompt, answers = torch.tensor([[4, 5, 1]]), torch.tensor([[7, 8, 9, 2], [6, 2, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    with torch.inference_mode():
        fast = vlm.score(visual[:1], prompt, answers, mask)
        for index, length in enumerate((4, 2)):
            ids = torch.cat((prompt, answers[index : index + 1, :length]), dim=1)
            scores = torch.log_softmax(vlm(visual[:1], ids)[0, 2:], dim=-1)
            each = scores[torch.arange(length), answers[index, :length]]
            assert fast[index].item() == pytest.approx(each.mean().item(), abs=1e-4)
