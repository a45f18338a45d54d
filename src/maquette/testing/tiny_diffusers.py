"""Tiny random pipelines in a folder, as large ones are laid out: for tests without a network.

What they paint means nothing. Sizes, steps, latents, masks and files are those of the real thing,
in half a second on one core. It needs the extra `local`.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Literal

Kind = Literal["StableDiffusionPipeline", "StableDiffusionInpaintPipeline"]
KindXl = Literal["StableDiffusionXLPipeline", "StableDiffusionXLInpaintPipeline"]

_HIDDEN = 32
_BLOCKS = [32, 64]


def text_to_image(folder: Path, *, blanks: bool = False) -> Path:
    """Make a pipeline with a 4-channel UNet; `blanks`: with a checker that refuses everything."""
    return _sd(folder, "StableDiffusionPipeline", in_channels=4, blanks=blanks)


def inpainting(folder: Path, *, in_channels: Literal[4, 9] = 9) -> Path:
    """Make a pipeline that does nothing but inpaint."""
    return _sd(folder, "StableDiffusionInpaintPipeline", in_channels=in_channels)


def text_to_image_xl(folder: Path, *, kind: KindXl = "StableDiffusionXLPipeline") -> Path:
    """Make a pipeline with two text encoders, as SDXL has."""
    diffusers, torch = _library("diffusers"), _library("torch")
    torch.manual_seed(0)
    parts = {
        "vae": _vae(),
        "text_encoder": _text_encoder("CLIPTextModel"),
        "text_encoder_2": _text_encoder("CLIPTextModelWithProjection"),
        "tokenizer": _tokenizer(),
        "tokenizer_2": _tokenizer(),
        "unet": _unet(
            4 if kind == "StableDiffusionXLPipeline" else 9,
            cross_attention_dim=2 * _HIDDEN,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            # Six numbers of 8 each, and the pooled words.
            projection_class_embeddings_input_dim=6 * 8 + _HIDDEN,
        ),
        "scheduler": diffusers.EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
    }
    _save(getattr(diffusers, kind)(**parts), folder)
    return folder


def text_to_image_3(folder: Path) -> Path:
    """Make a pipeline with a transformer and three text encoders, as Stable Diffusion 3 has."""
    diffusers, torch = _library("diffusers"), _library("torch")
    torch.manual_seed(0)
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=32,
        patch_size=2,
        in_channels=16,
        out_channels=16,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_projection_dim=_HIDDEN,
        joint_attention_dim=2 * _HIDDEN,
        pooled_projection_dim=2 * _HIDDEN,
    )
    pipeline = diffusers.StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=_wide_vae(),
        text_encoder=_text_encoder("CLIPTextModelWithProjection"),
        text_encoder_2=_text_encoder("CLIPTextModelWithProjection"),
        text_encoder_3=_t5_encoder(2 * _HIDDEN),
        tokenizer=_tokenizer(),
        tokenizer_2=_tokenizer(),
        tokenizer_3=_t5_tokenizer(),
    )
    _save(pipeline, folder)
    return folder


def flux(folder: Path) -> Path:
    """Make a pipeline that packs its latents, as Flux does."""
    diffusers, torch = _library("diffusers"), _library("torch")
    torch.manual_seed(0)
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=64,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=_HIDDEN,
        pooled_projection_dim=_HIDDEN,
        axes_dims_rope=[4, 4, 8],
        guidance_embeds=True,
    )
    pipeline = diffusers.FluxPipeline(
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=_wide_vae(),
        text_encoder=_text_encoder("CLIPTextModel"),
        text_encoder_2=_t5_encoder(_HIDDEN),
        tokenizer=_tokenizer(),
        tokenizer_2=_t5_tokenizer(),
    )
    _save(pipeline, folder)
    return folder


def _sd(folder: Path, kind: Kind, *, in_channels: int, blanks: bool = False) -> Path:
    diffusers, torch = _library("diffusers"), _library("torch")
    torch.manual_seed(0)
    parts = {
        "vae": _vae(),
        "text_encoder": _text_encoder("CLIPTextModel"),
        "tokenizer": _tokenizer(),
        "unet": _unet(in_channels, cross_attention_dim=_HIDDEN),
        "scheduler": diffusers.DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        "safety_checker": _checker() if blanks else None,
        "feature_extractor": _extractor() if blanks else None,
        "requires_safety_checker": blanks,
    }
    _save(getattr(diffusers, kind)(**parts), folder)
    return folder


def _library(name: str) -> Any:
    return importlib.import_module(name)


def _save(pipeline: Any, folder: Path) -> None:
    for package in ("diffusers.utils", "transformers.utils"):
        _library(f"{package}.logging").disable_progress_bar()
    pipeline.save_pretrained(str(folder), safe_serialization=True)


def _unet(in_channels: int, **more: Any) -> Any:
    return _library("diffusers").UNet2DConditionModel(
        block_out_channels=_BLOCKS,
        layers_per_block=1,
        sample_size=32,
        in_channels=in_channels,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=32,
        **more,
    )


def _vae(latent_channels: int = 4, **more: Any) -> Any:
    return _library("diffusers").AutoencoderKL(
        block_out_channels=_BLOCKS,
        in_channels=3,
        out_channels=3,
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=latent_channels,
        **more,
    )


def _wide_vae() -> Any:
    """Make a VAE of 16 channels whose latents are shifted as well as scaled."""
    return _vae(
        16, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1, scaling_factor=1.5
    )


def _vocabulary() -> dict[str, int]:
    """Return printable ASCII, each character alone and at the end of a word, and two marks."""
    letters = [chr(code) for code in range(33, 127)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return {word: index for index, word in enumerate(words)}


def _tokenizer() -> Any:
    tokenizer = _library("transformers").CLIPTokenizer
    return tokenizer(vocab=_vocabulary(), merges=[], model_max_length=77)


def _text_encoder(kind: str) -> Any:
    transformers, vocabulary = _library("transformers"), _vocabulary()
    config = transformers.CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=_HIDDEN,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=vocabulary["<|startoftext|>"],
        eos_token_id=vocabulary["<|endoftext|>"],
        pad_token_id=vocabulary["<|endoftext|>"],
        projection_dim=_HIDDEN,
    )
    return getattr(transformers, kind)(config)


_T5_PIECES = [
    *(("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)),
    *((chr(code), -3.0) for code in range(33, 127)),
]


def _t5_tokenizer() -> Any:
    return _library("transformers").T5TokenizerFast(vocab=_T5_PIECES, extra_ids=0)


def _t5_encoder(width: int) -> Any:
    transformers = _library("transformers")
    config = transformers.T5Config(
        vocab_size=len(_T5_PIECES), d_model=width, d_kv=8, d_ff=37, num_layers=1, num_heads=4
    )
    return transformers.T5EncoderModel(config)


def _checker() -> Any:
    """Make the checker of Stable Diffusion with thresholds that every picture is over."""
    transformers, torch = _library("transformers"), _library("torch")
    module = _library("diffusers.pipelines.stable_diffusion.safety_checker")
    vision = {
        "hidden_size": _HIDDEN,
        "intermediate_size": 37,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "image_size": 32,
        "patch_size": 8,
    }
    config = transformers.CLIPConfig(vision_config=vision, projection_dim=_HIDDEN)
    checker = module.StableDiffusionSafetyChecker(config)
    with torch.no_grad():
        checker.concept_embeds_weights.fill_(-2.0)
        checker.special_care_embeds_weights.fill_(-2.0)
    return checker


def _extractor() -> Any:
    side = {"height": 32, "width": 32}
    processor = _library("transformers").CLIPImageProcessor
    return processor(size={"shortest_edge": 32}, crop_size=side)
