"""Local models in a plain installation: what is said without torch, and what needs none."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.core.errors import CapabilityMissing, ProviderRefused, ProviderUnavailable
from maquette.core.requests import ImageRequest, Input, Mode, Option, digest_of
from maquette.imaging import codec, png
from maquette.providers.diffusers import failures, orders, pictures, previews, sizes
from maquette.providers.diffusers.child import Child
from maquette.providers.diffusers.config import DiffusersConfig
from maquette.providers.diffusers.families import FAMILIES
from maquette.providers.diffusers.folder import LocalModel, Unusable, scan
from maquette.providers.diffusers.messages import Failed, Failure, Order, Stopped
from maquette.providers.diffusers.provider import DiffusersProvider, lacking_packages
from maquette.testing.contracts import FakeRun

SETTING = "MAQUETTE_PROVIDERS__DIFFUSERS__WEIGHTS"
Change = Callable[[Path, dict[str, Any]], None]


def lay_out(folder: Path, change: Change | None = None, *, channels: int = 4) -> Path:
    """Make the names and JSON files of a Stable Diffusion, without weights in them."""
    index: dict[str, Any] = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.42.1",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "safety_checker": [None, None],
        "requires_safety_checker": False,
    }
    for part in ("unet", "vae", "tokenizer"):
        (folder / part).mkdir(parents=True)
    for part in ("unet", "vae"):
        (folder / part / "diffusion_pytorch_model.safetensors").touch()
    unet = {"sample_size": 96, "in_channels": channels}
    (folder / "unet" / "config.json").write_text(json.dumps(unet))
    vae = {"block_out_channels": [1, 2, 3, 4]}
    (folder / "vae" / "config.json").write_text(json.dumps(vae))
    if change is not None:
        change(folder, index)
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def pickled(folder: Path, _index: dict[str, Any]) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (folder / "unet" / "diffusion_pytorch_model.bin").touch()


def unfinished(folder: Path, _index: dict[str, Any]) -> None:
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()


def foreign(_folder: Path, index: dict[str, Any]) -> None:
    index["unet"] = ["my_unet", "MyUnet"]


def outside(_folder: Path, index: dict[str, Any]) -> None:
    index["../elsewhere"] = ["diffusers", "UNet2DConditionModel"]


def automatic(_folder: Path, index: dict[str, Any]) -> None:
    index["unet"] = ["transformers", "AutoModel"]


def of_its_own(_folder: Path, index: dict[str, Any]) -> None:
    index["_class_name"] = ["pipeline", "MyPipeline"]


def of_a_video(_folder: Path, index: dict[str, Any]) -> None:
    index["_class_name"] = "WanPipeline"


def empty(_folder: Path, index: dict[str, Any]) -> None:
    for name in ("unet", "vae", "tokenizer", "safety_checker"):
        del index[name]


def mixed(folder: Path, _index: dict[str, Any]) -> None:
    for part, tag in (("unet", "fp16"), ("vae", "bf16")):
        plain = folder / part / "diffusion_pytorch_model.safetensors"
        plain.rename(plain.with_name(f"diffusion_pytorch_model.{tag}.safetensors"))


def provider(weights: Path | None, *lacking: str) -> DiffusersProvider:
    return DiffusersProvider(DiffusersConfig(weights=weights), lacking=lambda: lacking)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Hold the models `sd` and `sd-inpaint`."""
    folder = tmp_path / "weights"
    lay_out(folder / "sd")
    lay_out(folder / "sd-inpaint", channels=9)
    return folder


PICTURE = png.write(np.full((48, 64, 3), 90, np.uint8))


def given_picture(role: Any = "init", *, width_px: int = 64, height_px: int = 48) -> Input:
    return Input(
        role=role,
        digest=digest_of(PICTURE),
        media_type="image/png",
        width_px=width_px,
        height_px=height_px,
        size_bytes=len(PICTURE),
    )


INIT, MASK = given_picture(), given_picture("mask")


def asked(mode: Mode = "generate", model: str = "sd", **more: Any) -> ImageRequest:
    inputs: dict[str, tuple[Input, ...]] = {"edit": (INIT,), "inpaint": (INIT, MASK)}
    given: dict[str, Any] = {"inputs": inputs.get(mode, ()), "prompt": "a cat", **more}
    return ImageRequest(provider="diffusers", model=model, mode=mode, **given)


def model_of(folder: Path) -> LocalModel:
    found = scan(folder.parent)[0]
    assert isinstance(found, LocalModel)
    return found


def test_it_is_found_by_its_entry_point() -> None:
    points = importlib.metadata.entry_points(group="maquette.providers")
    assert points["diffusers"].load() is DiffusersProvider


def test_importing_it_imports_no_torch() -> None:
    """The plain installation has none."""
    code = (
        "import sys; import maquette.providers.diffusers.provider; "
        "sys.exit(bool({'torch', 'diffusers', 'transformers'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_our_folder_does_not_hide_the_library() -> None:
    found = importlib.util.find_spec("diffusers")
    assert found is None or "maquette" not in Path(str(found.origin)).parts[-4:]


def test_without_the_extra_it_says_how_to_install_it(weights: Path) -> None:
    said = provider(weights, "torch", "diffusers").missing() or ""
    assert "torch, diffusers" in said
    assert "`pip install torch`" in said
    assert "'maquette[local]'" in said


async def test_without_the_extra_nothing_is_made(weights: Path) -> None:
    with pytest.raises(CapabilityMissing, match=r"maquette\[local\]"):
        await provider(weights, "torch").generate(asked(), FakeRun({}))


def test_without_the_setting_it_names_it() -> None:
    assert SETTING in (provider(None).missing() or "")
    assert provider(None).models() == []


def test_a_folder_that_is_not_there_is_quoted(tmp_path: Path) -> None:
    said = provider(tmp_path / "nowhere").missing() or ""
    assert "nowhere' is" not in said
    assert "nowhere', which is not a folder" in said


def test_a_model_set_in_place_of_its_folder_is_told_from_it(weights: Path) -> None:
    assert "the folder above" in (provider(weights / "sd").missing() or "")


def test_an_empty_folder_says_what_a_model_is(tmp_path: Path) -> None:
    assert "model_index.json" in (provider(tmp_path).missing() or "")


def test_with_a_model_nothing_is_missing(weights: Path) -> None:
    assert provider(weights).missing() is None


def test_the_tool_says_its_licences() -> None:
    tool = DiffusersProvider.tool
    assert tool is not None
    assert tool.extra == "local"
    assert "Apache-2.0" in tool.licence and "BSD-3-Clause" in tool.licence


def test_models_are_read_from_their_folders(weights: Path) -> None:
    found = {profile.id: profile for profile in provider(weights).models()}
    assert found["sd"].modes == {"generate", "edit", "inpaint"}
    assert found["sd-inpaint"].modes == {"inpaint"}
    assert "768 px" in found["sd"].title
    assert not any(profile.paid for profile in found.values())


def test_only_the_processor_repeats_itself(weights: Path) -> None:
    """What `auto` comes to is not known before torch is loaded."""
    for device, same in (("cpu", True), ("auto", False), ("cuda", False)):
        config = DiffusersConfig.model_validate({"weights": weights, "device": device})
        assert {one.deterministic for one in DiffusersProvider(config).models()} == {same}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (pickled, "pickled weights (diffusion_pytorch_model.bin)"),
        (unfinished, "'vae' has no .safetensors"),
        (foreign, "'my_unet'"),
        (outside, "'../elsewhere'"),
        (automatic, "'AutoModel'"),
        (of_its_own, "['pipeline', 'MyPipeline']"),
        (of_a_video, "'WanPipeline'"),
        (empty, "lists no parts"),
        (mixed, "bf16, fp16"),
    ],
)
def test_what_cannot_be_used_safely_is_refused_with_its_reason(
    tmp_path: Path, change: Change, why: str
) -> None:
    lay_out(tmp_path / "odd", change)
    assert [type(one) for one in scan(tmp_path)] == [Unusable]
    assert why in (provider(tmp_path).missing() or "")
    with pytest.raises(CapabilityMissing) as error:
        provider(tmp_path).check(asked(model="odd"))
    assert why in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b"[" * 100_000, b" " * 2_000_000])
def test_a_broken_index_is_told_and_hides_no_other_model(weights: Path, content: bytes) -> None:
    (weights / "broken").mkdir()
    (weights / "broken" / "model_index.json").write_bytes(content)
    found = {one.id: type(one) for one in scan(weights)}
    assert found == {"broken": Unusable, "sd": LocalModel, "sd-inpaint": LocalModel}


def test_weights_in_half_precision_only_are_found(tmp_path: Path) -> None:
    lay_out(tmp_path / "half")
    unet = tmp_path / "half" / "unet"
    (unet / "diffusion_pytorch_model.safetensors").unlink()
    for part in ("00001-of-00002", "00002-of-00002"):
        (unet / f"diffusion_pytorch_model.fp16-{part}.safetensors").touch()
    assert model_of(tmp_path / "half").variant == "fp16"


def test_a_model_whose_files_change_is_another(weights: Path) -> None:
    """What is loaded is let go, and loaded again."""
    before = model_of(weights / "sd").stamp
    assert model_of(weights / "sd").stamp == before
    (weights / "sd" / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"x")
    assert model_of(weights / "sd").stamp != before


def test_whole_weights_are_preferred(weights: Path) -> None:
    (weights / "sd" / "unet" / "diffusion_pytorch_model.fp16.safetensors").touch()
    assert model_of(weights / "sd").variant is None


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (asked(model="else"), "no model 'else'"),
        (asked("edit", "sd-inpaint"), "does not support 'edit'"),
        (asked("cutout"), "does not support 'cutout'"),
        (asked(count=2), "one picture a call"),
        (asked(size=(100, 96)), "not 100x96"),
        (asked(size=(8, 8)), "the nearest is 64x64"),
        (asked(size=(65528, 65528)), "the nearest is 2048x2048"),
        (asked(size="source"), "no source picture"),
        (asked(inputs=(INIT,)), "from words alone"),
        (asked("edit", inputs=()), "not 0"),
        (asked("edit", inputs=(INIT, MASK)), "without a mask"),
        (asked("edit", inputs=(INIT, given_picture("reference"))), "no reference pictures"),
        (asked("inpaint", inputs=(INIT,)), "one mask"),
        (
            asked("inpaint", inputs=(INIT, given_picture("mask", width_px=32))),
            "64x48 px, not 32x48",
        ),
        (asked(negative_prompt="dogs", options={"guidance": 1}), "ignores a negative prompt"),
        (asked(options={"steps": 151}), "'steps'"),
        (asked(options={"steps": 0}), "'steps'"),
        (asked(options={"sampler": "euler"}), "'sampler'"),
        (asked(options={"strength": 0.5}), "editing only"),
        (asked("edit", options={"strength": 1.5}), "'strength'"),
        (asked("edit", options={"strength": 0}), "no step left of 30"),
        (asked("edit", options={"strength": 0.2, "steps": 4}), "no step left of 4"),
    ],
)
def test_what_a_model_cannot_do_is_refused_before_it_is_loaded(
    weights: Path, request_: ImageRequest, why: str
) -> None:
    with pytest.raises(CapabilityMissing) as error:
        provider(weights).check(request_)
    assert why in str(error.value)
    assert "nothing was made" in str(error.value)


@pytest.mark.parametrize("mode", ["generate", "edit", "inpaint"])
def test_what_a_model_can_do_is_let_through(weights: Path, mode: Mode) -> None:
    provider(weights).check(asked(mode, negative_prompt="dogs", seed=3))


def test_a_family_that_takes_no_negative_prompt_refuses_one(tmp_path: Path) -> None:
    def flux(_folder: Path, index: dict[str, Any]) -> None:
        index["_class_name"] = "FluxPipeline"

    lay_out(tmp_path / "flux", flux)
    assert not provider(tmp_path).models()[0].supports_negative_prompt
    with pytest.raises(CapabilityMissing, match="no negative prompt"):
        provider(tmp_path).check(asked(model="flux", negative_prompt="dogs"))


def test_an_order_decides_everything(weights: Path) -> None:
    """Lineage needs what was used, not what was left out."""
    request = asked("edit", seed=7, size="source")
    config = DiffusersConfig(steps=12)
    made = orders.ask(model_of(weights / "sd"), request, config, init=b"x", mask=None)
    said: dict[str, Option] = {"steps": 12, "guidance": 7.5, "strength": 0.75}
    assert made.effective.options == said
    assert made.effective.seed == made.order.seed == 7
    assert made.effective.inputs == request.inputs
    assert made.order.guidance == FAMILIES["StableDiffusionPipeline"].guidance


def test_a_seed_is_drawn_and_told_where_none_was_given(weights: Path) -> None:
    model = model_of(weights / "sd")
    seeds = {
        orders.ask(model, asked(), DiffusersConfig(), init=None, mask=None).effective.seed
        for _ in range(4)
    }
    assert None not in seeds
    assert len(seeds) == 4


def test_a_size_that_had_to_change_is_told(weights: Path) -> None:
    source = given_picture(width_px=102, height_px=78)
    request = asked("edit", inputs=(source,), size="source")
    size, notes = orders.made_size(model_of(weights / "sd"), request)
    assert size == (104, 80)
    assert "102x78" in notes[0] and "104x80" in notes[0]


def test_auto_takes_the_models_own_size(weights: Path) -> None:
    model = model_of(weights / "sd")
    assert orders.made_size(model, asked()) == ((768, 768), ())
    wide = asked("edit", inputs=(given_picture(width_px=4000, height_px=1000),))
    assert orders.made_size(model, wide) == ((1536, 384), ())


SIDES = st.integers(1, 65535)


@given(size=st.tuples(SIDES, SIDES), multiple_px=st.sampled_from([8, 16, 64]))
def test_the_nearest_size_is_always_one_that_is_made(
    size: tuple[int, int], multiple_px: int
) -> None:
    made = sizes.nearest(size, multiple_px)
    assert sizes.allowed(made, multiple_px)
    if sizes.allowed(size, multiple_px):
        assert made == size


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("unfit", CapabilityMissing),
        ("memory", ProviderRefused),
        ("refused", ProviderRefused),
        ("failed", ProviderRefused),
        ("died", ProviderUnavailable),
    ],
)
def test_every_failure_is_an_error_of_ours(kind: Failure, error: type[Exception]) -> None:
    found = failures.failure(Failed(kind, "it did not work"), "sd")
    assert type(found) is error
    assert "it did not work" in str(found)


def test_only_what_is_marked_changes() -> None:
    """255 = edit; a feathered edge is blended."""
    rng = np.random.default_rng(0)
    made, source = (rng.integers(0, 256, (8, 8, 3), np.uint8) for _ in range(2))
    marks = np.zeros((8, 8), np.uint8)
    marks[:, 5:] = 255
    marks[:, 4] = 128
    result = pictures.put_back(made, source, marks)
    assert (result[:, :4] == source[:, :4]).all()
    assert (result[:, 5:] == made[:, 5:]).all()
    half = (made[:, 4].astype(int) + source[:, 4]) / 2
    assert abs(result[:, 4] - half).max() <= 1
    assert (pictures.whole(marks)[:, 4:] == 255).all() and not pictures.whole(marks)[:, :4].any()


def test_transparency_is_laid_on_white_and_told() -> None:
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[:, :3, 3] = 255
    found = pictures.init(png.write(pixels), 6, 4)
    assert not found.pixels[:, :3].any()
    assert (found.pixels[:, 3:] == 255).all()
    assert "transparency" in found.notes[0]


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(CapabilityMissing, match="marks nothing"):
        pictures.mask(png.write(np.zeros((8, 8), np.uint8)), 8, 8)


def test_previews_find_the_colours_of_latents_again() -> None:
    """A VAE that is linear is shown exactly."""
    rng = np.random.default_rng(0)
    shown = previews.chart(8)
    mixing = rng.normal(size=(4, 3))
    small = shown[::8, ::8].astype(np.float32) / 255
    latents = np.einsum("hwc,kc->khw", small, mixing).astype(np.float32) + 0.5
    colours = previews.fit(latents, shown)
    assert colours is not None
    flat = latents.reshape(4, -1).T @ colours[:4] + colours[4]
    assert abs(flat - shown[::8, ::8].reshape(-1, 3)).max() < 1
    data = previews.picture(latents, colours)
    assert data is not None
    assert codec.decode(data).pixels.shape == (32, 32, 3)


def test_latents_that_make_no_sense_are_not_shown() -> None:
    shown = previews.chart(8)
    broken = np.full((4, 32, 32), np.nan, np.float32)
    assert previews.fit(broken, shown) is None
    assert previews.fit(np.zeros((4, 9, 9), np.float32), shown) is None
    colours = np.zeros((5, 3), np.float32)
    assert previews.picture(broken, colours) is None
    assert previews.picture(np.zeros((16, 8, 8), np.float32), colours) is None


def plain_order(weights: Path) -> Order:
    made = orders.ask(
        model_of(weights / "sd"), asked(seed=1), DiffusersConfig(), init=None, mask=None
    )
    return made.order


def test_an_order_that_was_given_up_starts_no_process(weights: Path) -> None:
    child, gone = Child(idle_s=0), threading.Event()
    gone.set()
    assert child.work(plain_order(weights), print, gone) == Stopped()
    assert child.pid is None


@pytest.mark.skipif(not lacking_packages(), reason="torch is installed here")
async def test_a_process_without_torch_says_so_and_lives_on(weights: Path) -> None:
    child = Child(idle_s=0)
    try:
        order = plain_order(weights)
        ends = [
            await asyncio.to_thread(child.work, order, lambda _news: None, threading.Event())
            for _ in range(2)
        ]
        assert child.pid is not None
    finally:
        child.close()
    assert child.pid is None
    for end in ends:
        assert isinstance(end, Failed)
        assert end.kind == "unfit"
        assert "extra 'local'" in end.text
