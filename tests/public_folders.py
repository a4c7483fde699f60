"""Random models in the layouts in which public weights come, written by transformers itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    Gemma3TextModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    VJEPA2Config,
    VJEPA2Model,
)

WORDS = ("describe", "the", "video", "a", "red", "ball", "rolls", "left", "what", "is", "shown", ".", "?")
LLAMA_SPECIAL = ("<|begin_of_text|>", "<|end_of_text|>", "<|finetune_right_pad_id|>")
GEMMA_SPECIAL = ("<pad>", "<eos>", "<bos>")
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def spread(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """Weights large enough for attention to be far from uniform, norms and biases away from their defaults."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            std = 0.3 if parameter.ndim == 1 else 0.15
            parameter.add_(torch.randn(parameter.shape, generator=generator) * std)
    return model.eval()


def write_vision(folder: Path, *, seed: int = 0, **changes: Any) -> VJEPA2Model:
    """A small V-JEPA 2."""
    options: dict[str, Any] = {
        "patch_size": 4,
        "crop_size": 16,
        "frames_per_clip": 4,
        "hidden_size": 48,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "pred_hidden_size": 12,
        "pred_num_attention_heads": 2,
        "pred_num_hidden_layers": 1,
    }
    model = spread(VJEPA2Model(VJEPA2Config(**{**options, **changes})), seed)
    model.save_pretrained(folder)
    return model


def write_llama(folder: Path, *, seed: int = 0, **changes: Any) -> LlamaForCausalLM:
    """A small Llama with Llama 3's rotary scaling, and a tokenizer."""
    options: dict[str, Any] = {
        "vocab_size": 40,
        "hidden_size": 32,
        "intermediate_size": 56,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
        "rope_parameters": LLAMA3_ROPE,
        "bos_token_id": 13,
        "eos_token_id": 14,
    }
    model = spread(LlamaForCausalLM(LlamaConfig(**{**options, **changes})), seed)
    model.save_pretrained(folder)
    write_tokenizer(folder, LLAMA_SPECIAL, template="<|begin_of_text|> $A")
    return model


SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 56,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 1,
}
# Causal language models by name: their `model_type`, and what is set beside the sizes of all.
CAUSAL: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {"tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True}),
    "smollm2": ("llama", {"tie_word_embeddings": True, "rope_parameters": {"rope_theta": 100000.0}}),
    "smollm3": ("smollm3", {"no_rope_layer_interval": 2}),
    "mistral": ("mistral", {"sliding_window": 5}),
    "qwen2": ("qwen2", {"tie_word_embeddings": True}),
    "qwen2-windows": ("qwen2", {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}),
    "qwen3": ("qwen3", {"head_dim": 12, "tie_word_embeddings": True}),
    "gemma": ("gemma", {"head_dim": 16, "num_key_value_heads": 1}),
    "gemma2": (
        "gemma2",
        {
            "head_dim": 16,
            "query_pre_attn_scalar": 24,
            "sliding_window": 6,
            "attn_logit_softcapping": 1.5,
            "final_logit_softcapping": 2.0,
        },
    ),
    "phi": ("phi", {"partial_rotary_factor": 0.5}),
    "phi3": ("phi3", {"sliding_window": 7}),
    "phi3-part": ("phi3", {"partial_rotary_factor": 0.75}),
    "pythia": ("gpt_neox", {"rotary_pct": 0.25}),
    "pythia-in-turn": ("gpt_neox", {"use_parallel_residual": False, "attention_bias": False}),
    "starcoder2": ("starcoder2", {"sliding_window": 6}),
}


def write_causal(folder: Path, name: str, *, seed: int = 0) -> PreTrainedModel:
    """A small causal language model of one of the families in `CAUSAL`."""
    kind, changes = CAUSAL[name]
    config = AutoConfig.for_model(kind, **{**SIZES, **changes})
    model = spread(AutoModelForCausalLM.from_config(config), seed)
    model.save_pretrained(folder)
    write_tokenizer(folder, GEMMA_SPECIAL, template="<bos> $A")
    return model


def gemma3_config(**changes: Any) -> Gemma3TextConfig:
    """Sizes of a small EmbeddingGemma; `sliding_window` 12 lets a token see 6 to each side."""
    options: dict[str, Any] = {
        "vocab_size": 50,
        "hidden_size": 40,
        "intermediate_size": 48,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "query_pre_attn_scalar": 24,
        "sliding_window": 12,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
        "use_bidirectional_attention": True,
    }
    return Gemma3TextConfig(**{**options, **changes})


def write_gemma(folder: Path, *, seed: int = 0, **changes: Any) -> Gemma3TextModel:
    """A small EmbeddingGemma with its tokenizer."""
    model = spread(Gemma3TextModel(gemma3_config(**changes)), seed)
    model.save_pretrained(folder)
    write_tokenizer(folder, GEMMA_SPECIAL, template="<bos> $A <eos>")
    return model


def write_gemma3_lm(folder: Path, *, seed: int = 0) -> Gemma3ForCausalLM:
    """A small causal Gemma 3 with a linear rotary scaling in its full layers."""
    rope = {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
    }
    config = gemma3_config(use_bidirectional_attention=False, sliding_window=6, rope_parameters=rope)
    model = spread(Gemma3ForCausalLM(config), seed)
    model.save_pretrained(folder)
    write_tokenizer(folder, GEMMA_SPECIAL, template="<bos> $A")
    return model


def write_tokenizer(folder: Path, special: tuple[str, ...], *, template: str) -> None:
    """Whole words, and special tokens put around a text as the template says."""
    names = [*WORDS, *special, "[UNK]"]
    ids = {name: index for index, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(list(special))
    used = [(name, ids[name]) for name in special if name in template]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=used)
    tokenizer.save(str(folder / "tokenizer.json"))
