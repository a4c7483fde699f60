"""Small random models that others would take, as transformers' own `save_pretrained` writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessor,
    Idefics3Processor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    VideoMAEImageProcessor,
    XCLIPConfig,
    XCLIPModel,
)

# fmt: off
WORDS = (
    "a", "the", "red", "blue", "green", "yellow", "orange", "white", "ball", "box", "cross", "star", "rolls", "jumps",
    "falls", "down", "bounces", "what", "is", "shown", "in", "video", "describe", "how", "many", "there", "which",
    "colour", "yes", "no", "one", "two", "three", ".", "?", ":",
)
# fmt: on
SPECIAL = (
    "<pad>",
    "<s>",
    "</s>",
    "<unk>",
    "<image>",
    "<fake_token_around_image>",
    "<global-img>",
    "<end_of_utterance>",
)
SIDE, WIDTH = 32, 32
SMALL = {"hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
VISION = {**SMALL, "image_size": SIDE, "patch_size": 8}
LENGTH = 24


def tokenizer() -> PreTrainedTokenizerFast:
    """Whole words; an end behind every text, as CLIP pools there."""
    vocabulary = {token: number for number, token in enumerate((*SPECIAL, *WORDS))}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        model_input_names=["input_ids", "attention_mask"],
        additional_special_tokens=list(SPECIAL[4:]),
    )


class Pair:
    """What a dual encoder's folder holds beside its model."""

    def __init__(self, image_processor: Any, tokenizer: Any) -> None:
        self.image_processor, self.tokenizer = image_processor, tokenizer

    def save_pretrained(self, folder: Path) -> None:
        """Write both."""
        self.image_processor.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def _spread(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """Weights large enough for attention to be far from uniform."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model.eval()


def _text(**more: Any) -> dict[str, Any]:
    vocabulary = len(SPECIAL) + len(WORDS)
    return {
        **SMALL,
        "vocab_size": vocabulary,
        "max_position_embeddings": LENGTH,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    } | more


def _size(**more: Any) -> dict[str, Any]:
    return {"size": {"height": SIDE, "width": SIDE}} | more


def clip() -> tuple[PreTrainedModel, Any]:
    """CLIP."""
    config = CLIPConfig(text_config=_text(), vision_config=VISION, projection_dim=16)
    image = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    return CLIPModel(config), Pair(image, tokenizer())


def siglip() -> tuple[PreTrainedModel, Any]:
    """SigLIP, and SigLIP 2 of one resolution, whose folders say `siglip` too."""
    config = SiglipConfig(text_config=_text(projection_size=WIDTH), vision_config=VISION)
    return SiglipModel(config), Pair(SiglipImageProcessor(**_size()), tokenizer())


def siglip2() -> tuple[PreTrainedModel, Any]:
    """SigLIP 2 of any resolution."""
    from transformers import Siglip2Config, Siglip2ImageProcessor, Siglip2Model

    vision = {**SMALL, "patch_size": 8, "num_patches": 16}
    config = Siglip2Config(text_config=_text(projection_size=WIDTH), vision_config=vision)
    image = Siglip2ImageProcessor(patch_size=8, max_num_patches=16)
    return Siglip2Model(config), Pair(image, tokenizer())


def xclip() -> tuple[PreTrainedModel, Any]:
    """X-CLIP of four frames."""
    vision = {
        **VISION,
        "num_frames": 4,
        "mit_hidden_size": 16,
        "mit_intermediate_size": 24,
        "mit_num_attention_heads": 2,
    }
    config = XCLIPConfig(text_config=_text(), vision_config=vision, projection_dim=16)
    image = VideoMAEImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    return XCLIPModel(config), Pair(image, tokenizer())


def idefics3() -> tuple[PreTrainedModel, Any]:
    """Idefics3, which SmolVLM is."""
    text = {"model_type": "llama", **_text(max_position_embeddings=512, num_key_value_heads=2)}
    config = Idefics3Config(
        vision_config=VISION,
        text_config=text,
        image_token_id=SPECIAL.index("<image>"),
        scale_factor=2,
        pad_token_id=0,
    )
    image = Idefics3ImageProcessor(size={"longest_edge": SIDE}, max_image_size={"longest_edge": SIDE})
    return Idefics3ForConditionalGeneration(config), Idefics3Processor(image, tokenizer(), image_seq_len=4)


def llava() -> tuple[PreTrainedModel, Any]:
    """LLaVA 1.5."""
    text = {"model_type": "llama", **_text(max_position_embeddings=512, num_key_value_heads=2)}
    config = LlavaConfig(
        vision_config={"model_type": "clip_vision_model", **VISION},
        text_config=text,
        image_token_index=SPECIAL.index("<image>"),
        vision_feature_layer=-1,
    )
    image = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    processor = LlavaProcessor(
        image,
        tokenizer(),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template="{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<image>"
        "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endfor %} :",
    )
    return LlavaForConditionalGeneration(config), processor


MAKERS: Mapping[str, Callable[[], tuple[PreTrainedModel, Any]]] = {
    "clip": clip,
    "siglip": siglip,
    "siglip2": siglip2,
    "xclip": xclip,
    "idefics3": idefics3,
    "llava": llava,
}


def write(family: str, folder: Path, *, seed: int = 0) -> tuple[PreTrainedModel, Any]:
    """Write a model with its processor.

    Returns:
        Both, as they would be read again.
    """
    torch.manual_seed(seed)
    model, processor = MAKERS[family]()
    _spread(model, seed)
    if model.can_generate():
        model.generation_config.update(bos_token_id=1, eos_token_id=2, pad_token_id=0)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model, processor


def write_sentences(folder: Path) -> BertModel:
    """A sentence encoder as MiniLM is one."""
    torch.manual_seed(0)
    model = BertModel(BertConfig(**_text(vocab_size=len(SPECIAL) + len(WORDS))), add_pooling_layer=True)
    _spread(model, 0).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return model
