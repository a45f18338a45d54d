"""LAB-10: Real-ESRGAN by torch: our loader and networks, with random and with published weights."""

from __future__ import annotations

import importlib
import math
import os
import pickle
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import BaseModel

from maquette.core.errors import BadParameter
from maquette.core.operation import Operation
from maquette.core.raster import Raster
from maquette.imaging.apply import apply
from maquette.ops.realesrgan import checkpoint, models
from maquette.ops.realesrgan.python import PYTHON, Device, TorchParams, device_of, network
from maquette.ops.realesrgan.tiles import Tiling
from maquette.testing.contracts import FixedWork, OperationContract

EXTRA = "local"
SCENES = Path(__file__).parents[2] / "examples" / "scenes"
WEIGHTS = Path(os.environ.get("MAQUETTE_TEST_WEIGHTS", "no-weights"))
REQUIRED = os.environ.get("MAQUETTE_EXTRAS_REQUIRED", "").split()
ABSENT = [name for name in ("torch", "safetensors") if find_spec(name) is None]

if ABSENT and EXTRA in REQUIRED:
    pytest.fail(f"MAQUETTE_EXTRAS_REQUIRED names {EXTRA!r}, but {ABSENT} are not installed")
if ABSENT:
    pytest.skip(f"extra {EXTRA!r}: {ABSENT} are not installed", allow_module_level=True)

torch: Any = importlib.import_module("torch")
safetensors: Any = importlib.import_module("safetensors.torch")

Floats = NDArray[np.floating[Any]]
State = dict[str, Any]
PLAIN = Device("cpu", torch.float32, Tiling(192, 12))


def random_state(shapes: dict[str, tuple[int, ...]]) -> State:
    rng = np.random.default_rng(3)
    return {
        name: torch.from_numpy(
            rng.normal(0, 1 / math.sqrt(max(math.prod(shape[1:]), 9)), shape).astype(np.float32)
        )
        for name, shape in shapes.items()
    }


def layers(*named: tuple[str, int, int]) -> dict[str, tuple[int, ...]]:
    return {
        key: shape
        for name, seen, into in named
        for key, shape in ((f"{name}.weight", (into, seen, 3, 3)), (f"{name}.bias", (into,)))
    }


def rrdb(fold: int = 1) -> State:
    """Return two blocks, 8 wide, that grow by 4."""
    dense = [
        (f"body.{block}.rdb{one}.conv{at}", 8 + 4 * (at - 1), 8 if at == 5 else 4)
        for block in range(2)
        for one in (1, 2, 3)
        for at in range(1, 6)
    ]
    rest = [(name, 8, 8) for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr")]
    return random_state(layers(("conv_first", 3 * fold**2, 8), *dense, *rest, ("conv_last", 8, 3)))


def compact(factor: int) -> State:
    """Return four layers, 8 wide."""
    shapes = layers(
        ("body.0", 3, 8), ("body.2", 8, 8), ("body.4", 8, 8), ("body.6", 8, 3 * factor**2)
    )
    return random_state(shapes | {f"body.{at}.weight": (8,) for at in (1, 3, 5)})


def conv(state: State, name: str, planes: Floats) -> Floats:
    """Convolve as it is written in a textbook."""
    weight, bias = (state[f"{name}.{part}"].double().numpy() for part in ("weight", "bias"))
    _, height, width = planes.shape
    around = np.pad(planes, ((0, 0), (1, 1), (1, 1)))
    made = np.zeros((len(weight), height, width)) + bias[:, None, None]
    for row in range(3):
        for column in range(3):
            shifted = around[:, row : row + height, column : column + width]
            made += np.einsum("oi,ihw->ohw", weight[:, :, row, column], shifted)
    return made


def leaky(planes: Floats) -> Floats:
    return np.where(planes > 0, planes, 0.2 * planes)


def doubled(planes: Floats) -> Floats:
    return planes.repeat(2, axis=1).repeat(2, axis=2)


def naive_rrdb(state: State, planes: Floats, fold: int) -> Floats:
    channels, height, width = planes.shape
    blocks = planes.reshape(channels, height // fold, fold, width // fold, fold)
    planes = blocks.transpose(0, 2, 4, 1, 3).reshape(-1, height // fold, width // fold)
    first = conv(state, "conv_first", planes)
    made = first
    for block in range(2):
        start = made
        for dense in (1, 2, 3):
            seen = [made]
            for at in range(1, 5):
                name = f"body.{block}.rdb{dense}.conv{at}"
                seen.append(leaky(conv(state, name, np.concatenate(seen))))
            last = conv(state, f"body.{block}.rdb{dense}.conv5", np.concatenate(seen))
            made = made + 0.2 * last
        made = start + 0.2 * made
    made = first + conv(state, "conv_body", made)
    for name in ("conv_up1", "conv_up2"):
        made = leaky(conv(state, name, doubled(made)))
    return conv(state, "conv_last", leaky(conv(state, "conv_hr", made)))


def naive_compact(state: State, planes: Floats, factor: int) -> Floats:
    made = planes
    for at in (0, 2, 4):
        made = conv(state, f"body.{at}", made)
        slope = state[f"body.{at + 1}.weight"].double().numpy()[:, None, None]
        made = np.where(made > 0, made, slope * made)
    made = conv(state, "body.6", made)
    _, height, width = planes.shape
    parts = made.reshape(3, factor, factor, height, width).transpose(0, 3, 1, 4, 2)
    shuffled = parts.reshape(3, height * factor, width * factor)
    return shuffled + planes.repeat(factor, axis=1).repeat(factor, axis=2)


def tile(height: int = 12, width: int = 16) -> NDArray[np.float32]:
    return np.divide(OperationContract.photo(height, width), 255, dtype=np.float32)


def saved(folder: Path, content: object, name: str = "mine.pth") -> Path:
    path = folder / models.FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".pth":
        torch.save(content, path)
    else:
        safetensors.save_file(content, path)
    return path


def run(state: State, folder: Path, image: NDArray[np.float32]) -> NDArray[np.float32]:
    return network(torch, checkpoint.load(torch, saved(folder, state)), PLAIN)(image)


@pytest.mark.parametrize("fold", [1, 2, 4])
def test_rrdb_is_computed_as_in_the_paper(fold: int, tmp_path: Path) -> None:
    made = run(rrdb(fold), tmp_path, tile())
    due = naive_rrdb(rrdb(fold), tile().transpose(2, 0, 1), fold).transpose(1, 2, 0)
    assert made.shape == (12 * 4 // fold, 16 * 4 // fold, 3)
    np.testing.assert_allclose(made, due, atol=1e-4)


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_compact_is_computed_as_published(factor: int, tmp_path: Path) -> None:
    made = run(compact(factor), tmp_path, tile())
    due = naive_compact(compact(factor), tile().transpose(2, 0, 1), factor).transpose(1, 2, 0)
    np.testing.assert_allclose(made, due, atol=1e-4)


def test_odd_sides_are_padded_where_pixels_are_folded(tmp_path: Path) -> None:
    made = run(rrdb(2), tmp_path, tile(13, 15))
    assert made.shape == (26, 30, 3)


@pytest.mark.parametrize("name", ["mine.pth", "mine.safetensors"])
def test_both_kinds_of_file_give_the_same_weights(name: str, tmp_path: Path) -> None:
    state = compact(2)
    found = checkpoint.load(torch, saved(tmp_path, state, name)).state
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], state[key]) for key in state)


def test_the_smoothed_copy_is_taken_from_a_training_file(tmp_path: Path) -> None:
    other = {key: one + 1 for key, one in compact(2).items()}
    for content in ({"params": other, "params_ema": compact(2)}, {"params": compact(2)}):
        found = checkpoint.load(torch, saved(tmp_path, content)).state
        assert torch.equal(found["body.0.weight"], compact(2)["body.0.weight"])


def test_half_precision_weights_are_read(tmp_path: Path) -> None:
    halves = {key: one.half() for key, one in compact(2).items()}
    found = checkpoint.load(torch, saved(tmp_path, halves)).state
    assert {one.dtype for one in found.values()} == {torch.float32}


class Trap:
    """What a hostile file holds: reading it as a pickle writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    path = saved(tmp_path, {"params": Trap(sprung)})
    with pytest.raises(BadParameter, match="nothing in it was run"):
        checkpoint.load(torch, path)
    assert not sprung.exists()
    path.write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(BadParameter, match="nothing in it was run"):
        checkpoint.load(torch, path)
    assert not sprung.exists()


@pytest.mark.parametrize("ending", checkpoint.ENDINGS)
@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04" + bytes(100)])
def test_a_damaged_file_is_refused_by_name(content: bytes, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"broken{ending}"
    path.write_bytes(content)
    with pytest.raises(BadParameter, match="broken"):
        checkpoint.load(torch, path)


@pytest.mark.parametrize(
    "content", [{"model.0.weight": torch.zeros(4, 3, 3, 3)}, [1, 2], {"params": 5}, {}]
)
def test_another_network_is_refused_with_what_was_seen(content: object, tmp_path: Path) -> None:
    with pytest.raises(BadParameter, match=r"'mine\.pth'.*tensors, such as"):
        checkpoint.load(torch, saved(tmp_path, content))


def test_bfloat16_differs_by_few_levels(tmp_path: Path) -> None:
    loaded = checkpoint.load(torch, saved(tmp_path, compact(4)))
    exact = network(torch, loaded, PLAIN)(tile())
    short = network(torch, loaded, Device("cpu", torch.bfloat16, PLAIN.tiling))(tile())
    assert np.abs(exact - short).mean() * 255 < 1.5


def test_there_is_always_a_device() -> None:
    device = device_of(torch)
    assert device.name in {"cuda", "mps", "cpu"}
    assert device.name != "cpu" or device.tiling.largest_px <= 256


class TestTorch(OperationContract):
    """Random weights; the network's own factor and the scale differ."""

    @pytest.fixture
    def operation(self) -> Operation[Any]:
        return PYTHON

    @pytest.fixture
    def weights(self, tmp_path: Path) -> Path:
        saved(tmp_path, {"params_ema": compact(2)})
        return tmp_path

    @pytest.fixture
    def params(self, operation: Operation[Any]) -> BaseModel:
        return TorchParams(scale=2.5)

    @pytest.fixture
    def neutral(self) -> BaseModel | None:
        return TorchParams(scale=1)


class TestTorchWithFoldedPixels(TestTorch):
    """An RRDBNet of factor 2."""

    @pytest.fixture
    def weights(self, tmp_path: Path) -> Path:
        saved(tmp_path, {"params": rrdb(2)})
        return tmp_path

    @pytest.fixture
    def params(self, operation: Operation[Any]) -> BaseModel:
        return TorchParams(scale=2)


def test_the_report_names_what_made_the_picture(tmp_path: Path) -> None:
    saved(tmp_path, compact(2))
    rasters = {"image": Raster(OperationContract.photo())}
    data = PYTHON.apply(rasters, TorchParams(), FixedWork(weights=tmp_path)).data
    assert data["model"] == "mine" and data["architecture"] == "SRVGGNetCompact of 4 layers"
    assert data["device"] in {"cuda", "mps", "cpu"} and "float" in str(data["precision"])


def test_ready_where_weights_are(tmp_path: Path) -> None:
    assert PYTHON.missing(tmp_path) is not None
    saved(tmp_path, compact(2))
    assert PYTHON.missing(tmp_path) is None


def converted(name: str) -> State:
    """Read ncnn's file: per layer a tag, half floats up to 4 bytes, then the biases."""
    folder = WEIGHTS / models.FOLDER
    content, at, found = (folder / f"{name}.bin").read_bytes(), 0, list[tuple[Any, ...]]()
    for line in (folder / f"{name}.param").read_text(encoding="ascii").splitlines()[2:]:
        words = line.split()
        options = dict(word.split("=", 1) for word in words if "=" in word)
        if words[0].endswith("Convolution"):
            into, count = int(options["0"]), int(options["6"])
            assert content[at : at + 4] == bytes.fromhex("476b3001")
            weight = np.frombuffer(content, np.float16, count, at + 4).astype(np.float32)
            at += 4 + -(-2 * count // 4) * 4
            bias = np.frombuffer(content, np.float32, into, at)
            found.append((weight.reshape(into, -1, 3, 3), bias))
            at += 4 * into
        elif words[0] == "PReLU":
            found.append((np.frombuffer(content, np.float32, int(options["0"]), at),))
            at += 4 * int(options["0"])
    assert at == len(content)
    names = [f"body.{index}" for index in range(len(found))]
    if "x4plus" in name:
        names = ["conv_first"]
        for block in range((len(found) - 6) // 15):
            names += [f"body.{block}.rdb{one}.conv{at}" for one in (1, 2, 3) for at in range(1, 6)]
        names += ["conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]
    return {
        f"{layer}.{part}": torch.from_numpy(values.copy())
        for layer, both in zip(names, found, strict=True)
        for part, values in zip(("weight", "bias"), both, strict=False)
    }


@pytest.mark.parametrize(
    "name", ["realesr-animevideov3-x4", "realesrgan-x4plus-anime", "realesrgan-x4plus"]
)
def test_published_weights_enlarge_what_is_there(name: str, tmp_path: Path) -> None:
    """The published networks, converted from ncnn's files, work in our own code."""
    if not models.present(WEIGHTS):
        if "realesrgan" in REQUIRED:
            pytest.fail("MAQUETTE_TEST_WEIGHTS has no realesrgan models")
        pytest.skip("MAQUETTE_TEST_WEIGHTS has no realesrgan models")
    saved(tmp_path, converted(name))
    bgr = cv2.imread(str(SCENES / "astronaut.png"))
    assert bgr is not None
    pixels = np.ascontiguousarray(bgr[60:92, 100:140, ::-1]).astype(np.uint8)
    work = FixedWork(weights=tmp_path)
    image = apply(PYTHON, {"image": Raster(pixels)}, TorchParams(scale=4), work).image
    assert image is not None
    back = cv2.resize(image.pixels, (40, 32), interpolation=cv2.INTER_AREA)
    assert np.abs(back.astype(int) - pixels).mean() < 6
