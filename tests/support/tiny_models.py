"""Tiny captioning models with random weights and a tokenizer of their own, on disk: nothing is downloaded.

python tests/support/tiny_models.py FOLDER [family]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

SIDE = 32  # pixels
_WORDS = (
    *("a", "an", "the", "of", "in", "on", "with", "and", "dog", "cat", "house", "ball", "fish", "stone", "photo"),
    *("red", "green", "blue", "small", "large", "two", "three"),
)


def make_tokenizer(folder: Path, *, first: bool = False) -> Any:
    """A tokenizer of 30 words; `first` also puts a token before each text, as BERT's does."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "</s>", "<unk>", "<s>", "<image>"]
    words = Tokenizer(models.WordLevel({word: n for n, word in enumerate([*special, *_WORDS])}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>" if first else "$A </s>", special_tokens=[("<s>", 3), ("</s>", 1)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", bos_token="<s>",
        cls_token="<s>", sep_token="</s>", additional_special_tokens=["<image>"],
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    return tokenizer


def save_images(folder: Path, kind: str) -> None:
    """The image processor of a family, for images of `SIDE` × `SIDE`."""
    import transformers

    # transformers 5 has one for PIL beside the one for torchvision
    name = f"{kind}ImageProcessor"
    processor = getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)
    size = {"height": SIDE, "width": SIDE}
    processor(size=size).save_pretrained(folder)


def make_blip2(folder: Path, seed: int = 0) -> Path:
    """BLIP-2 with a T5 of two layers."""
    from transformers import T5Config

    text = T5Config(
        vocab_size=5 + len(_WORDS), d_model=16, d_kv=8, d_ff=32, num_layers=2, num_decoder_layers=2, num_heads=2,
        bos_token_id=1, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    return _make_blip2(folder, text, seed)


def make_blip2_opt(folder: Path, seed: int = 0) -> Path:
    """BLIP-2 with an OPT of two layers, which goes on writing instead of answering."""
    from transformers import OPTConfig

    text = OPTConfig(
        vocab_size=5 + len(_WORDS), hidden_size=16, ffn_dim=32, num_hidden_layers=2, num_attention_heads=2,
        word_embed_proj_dim=16, max_position_embeddings=128, bos_token_id=3, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    return _make_blip2(folder, text, seed)


def _make_blip2(folder: Path, text: Any, seed: int) -> Path:
    import torch
    from transformers import Blip2Config, Blip2ForConditionalGeneration, Blip2QFormerConfig, Blip2VisionConfig

    vocabulary = 5 + len(_WORDS)
    config = Blip2Config(
        vision_config=Blip2VisionConfig(
            hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=SIDE,
            patch_size=8,
        ).to_dict(),
        qformer_config=Blip2QFormerConfig(
            vocab_size=vocabulary, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
            encoder_hidden_size=16, max_position_embeddings=64,
        ).to_dict(),
        text_config=text.to_dict(),
        num_query_tokens=4,
        image_token_index=4,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = Blip2ForConditionalGeneration(config)
    _liven(model)
    model.save_pretrained(folder)
    make_tokenizer(folder)
    save_images(folder, "Blip")
    return folder


def make_blip(folder: Path, seed: int = 0) -> Path:
    """BLIP."""
    import torch
    from transformers import BlipConfig, BlipForConditionalGeneration

    vocabulary = 5 + len(_WORDS)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        **sizes, "vocab_size": vocabulary, "encoder_hidden_size": 16, "max_position_embeddings": 64,
        "bos_token_id": 3, "sep_token_id": 1, "eos_token_id": 1, "pad_token_id": 0,
    }  # fmt: skip
    torch.manual_seed(seed)
    model = BlipForConditionalGeneration(
        BlipConfig(text_config=text, vision_config={**sizes, "image_size": SIDE, "patch_size": 8}, projection_dim=16)
    )
    _liven(model)
    model.save_pretrained(folder)
    make_tokenizer(folder, first=True)
    save_images(folder, "Blip")
    return folder


def make_git(folder: Path, seed: int = 0) -> Path:
    """GIT."""
    import torch
    from transformers import GitConfig, GitForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(seed)
    model = GitForCausalLM(
        GitConfig(
            vision_config={**sizes, "image_size": SIDE, "patch_size": 8}, **sizes, vocab_size=5 + len(_WORDS),
            max_position_embeddings=64, bos_token_id=3, eos_token_id=1, pad_token_id=0,
        )
    )  # fmt: skip
    _liven(model)
    model.save_pretrained(folder)
    make_tokenizer(folder, first=True)
    save_images(folder, "Blip")
    return folder


def make_encoder_decoder(folder: Path, seed: int = 0) -> Path:
    """A ViT that a small GPT-2 describes."""
    import torch
    from transformers import GPT2Config, VisionEncoderDecoderConfig, VisionEncoderDecoderModel, ViTConfig

    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(seed)
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        ViTConfig(**sizes, image_size=SIDE, patch_size=8),
        GPT2Config(
            n_embd=16, n_layer=2, n_head=2, n_positions=64, vocab_size=5 + len(_WORDS), bos_token_id=3, eos_token_id=1
        ),
        decoder_start_token_id=3, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    model = VisionEncoderDecoderModel(config)
    _liven(model)
    model.generation_config.update(decoder_start_token_id=3, pad_token_id=0, eos_token_id=1, bos_token_id=3)
    model.save_pretrained(folder)
    make_tokenizer(folder, first=True)
    save_images(folder, "ViT")
    return folder


def make_sam(folder: Path, seed: int = 0, side: int = 128) -> Path:
    """A SAM for images of `side` × `side`; its logits have a quarter of that."""
    import torch
    from transformers import SamConfig, SamModel

    vision = {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "output_channels": 32, "image_size": side,
        "num_pos_feats": 16, "window_size": 4, "global_attn_indexes": [1],
    }  # fmt: skip
    torch.manual_seed(seed)
    # Large weights: with the usual ones the masks of a fresh model hardly depend on image and prompt.
    config = SamConfig(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": 32, "image_size": side},
        mask_decoder_config={"hidden_size": 32, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": 32},
        initializer_range=0.3,
    )
    SamModel(config).save_pretrained(folder)
    return folder


def _liven(model: Any) -> None:
    """Larger weights: with those of a fresh model every image would get the same words."""
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.normal_(0.0, 0.6)
            elif "bias" in name:
                weight.normal_(0.0, 0.3)


MAKERS = {
    "blip": make_blip,
    "blip-2": make_blip2,
    "blip-2 with OPT": make_blip2_opt,
    "git": make_git,
    "vision-encoder-decoder": make_encoder_decoder,
}

if __name__ == "__main__":
    MAKERS[sys.argv[2] if len(sys.argv) > 2 else "blip-2"](Path(sys.argv[1]))
