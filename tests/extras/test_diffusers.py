"""Local models for real: tiny random pipelines, made here, run in a process of their own.

`MAQUETTE_EXTRAS_REQUIRED=local` turns the skip into a failure, as `.ci/local` does.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from maquette.core.errors import CapabilityMissing, ProviderRefused, ProviderUnavailable
from maquette.core.provider import Provider
from maquette.core.requests import (
    Digest,
    Encoded,
    Generated,
    ImageRequest,
    Input,
    Mode,
    ModelProfile,
    Size,
    digest_of,
)
from maquette.imaging import codec, png
from maquette.providers.diffusers import orders
from maquette.providers.diffusers.child import Child
from maquette.providers.diffusers.config import DiffusersConfig
from maquette.providers.diffusers.folder import LocalModel, scan
from maquette.providers.diffusers.messages import Failed, News, Order, Progress, Stopped
from maquette.providers.diffusers.provider import DiffusersProvider, lacking_packages
from maquette.testing.contracts import FakeRun, ProviderContract, RequestFor

LACKING = lacking_packages()
if LACKING:
    if "local" in os.environ.get("MAQUETTE_EXTRAS_REQUIRED", "").split():
        raise RuntimeError(f"the extra 'local' is required here and lacks {', '.join(LACKING)}")
    pytest.skip(
        f"local models are NOT tested: {', '.join(LACKING)} not installed; run .ci/local",
        allow_module_level=True,
    )

MAKE = """
import sys
from pathlib import Path
from maquette.testing import tiny_diffusers as tiny

folder = Path(sys.argv[1])
tiny.text_to_image(folder / "sd")
tiny.text_to_image(folder / "sd-checked", blanks=True)
tiny.inpainting(folder / "sd-inpaint")
tiny.inpainting(folder / "sd-inpaint-4", in_channels=4)
tiny.text_to_image_xl(folder / "xl")
tiny.text_to_image_xl(folder / "xl-inpaint", kind="StableDiffusionXLInpaintPipeline")
tiny.text_to_image_3(folder / "sd3")
tiny.flux(folder / "flux")
"""
WIDTH_PX, HEIGHT_PX = 96, 64
SOURCE = np.random.default_rng(1).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), np.uint8)
MARKS = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
MARKS[:24, 32:] = 255
"""The upper right only: a mask that is turned, mirrored or inverted is another one."""
INSIDE = MARKS == 255
WAIT_S = 60.0


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make all pipelines, in another process: what torch warns of is not ours to fail for."""
    folder = tmp_path_factory.mktemp("weights")
    subprocess.run([sys.executable, "-c", MAKE, str(folder)], check=True, capture_output=True)
    return folder


def config(folder: Path, **more: Any) -> DiffusersConfig:
    plain = {"device": "cpu", "threads": 1, "steps": 4, "preview_every_steps": 2}
    return DiffusersConfig.model_validate({"weights": folder, **plain, **more})


@pytest.fixture(scope="module")
def local(weights: Path) -> Iterator[DiffusersProvider]:
    """Keep one process for the whole file: loading torch takes seconds."""
    made = DiffusersProvider(config(weights))
    yield made
    asyncio.run(made.aclose())


@pytest.fixture
async def own(weights: Path) -> AsyncGenerator[Callable[..., DiffusersProvider]]:
    """Make providers whose processes a test may treat badly."""
    made: list[DiffusersProvider] = []

    def make(*, stop_s: float = 10.0, **more: Any) -> DiffusersProvider:
        made.append(DiffusersProvider(config(weights, **more), stop_s=stop_s))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()


class Store:
    """Pictures by digest, as a run hands them out."""

    def __init__(self) -> None:
        self.pictures: dict[Digest, Encoded] = {}

    def add(self, role: Any, pixels: NDArray[np.uint8]) -> Input:
        data = png.write(pixels)
        digest = digest_of(data)
        self.pictures[digest] = Encoded(data, "image/png")
        height_px, width_px = pixels.shape[:2]
        return Input(
            role=role,
            digest=digest,
            media_type="image/png",
            width_px=width_px,
            height_px=height_px,
            size_bytes=len(data),
        )


def asked(
    model: str,
    mode: Mode = "generate",
    inputs: Sequence[Input] = (),
    *,
    size: Size | None = None,
    **more: Any,
) -> ImageRequest:
    fits: Size = (WIDTH_PX, HEIGHT_PX) if mode == "generate" else "source"
    given: dict[str, Any] = {"prompt": "a lighthouse", "seed": 5, **more}
    return ImageRequest(
        provider="diffusers",
        model=model,
        mode=mode,
        inputs=tuple(inputs),
        size=size or fits,
        **given,
    )


async def made(provider: DiffusersProvider, request: ImageRequest, store: Store) -> Generated:
    return await provider.generate(request, FakeRun(store.pictures))


def pixels_of(generated: Generated) -> NDArray[np.uint8]:
    return codec.decode(generated.images[0].data).pixels


@pytest.fixture(scope="module")
def alone(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Offer one model only."""
    folder = tmp_path_factory.mktemp("alone")
    shutil.copytree(weights / "sd", folder / "sd")
    provider = DiffusersProvider(config(folder))
    yield provider
    asyncio.run(provider.aclose())


class Shared(ProviderContract):
    """The contract on one of the models, which the whole file shares."""

    mode: Mode

    @pytest.fixture
    def provider(self, alone: Provider) -> Provider:
        return alone

    @pytest.fixture
    def store(self) -> Store:
        return Store()

    @pytest.fixture
    def request_for(self, store: Store) -> RequestFor:
        given = [] if self.mode == "generate" else [store.add("init", SOURCE)]

        def request(profile: ModelProfile) -> ImageRequest:
            return asked(profile.id, self.mode, given)

        return request

    @pytest.fixture
    def inputs(self, store: Store) -> Mapping[Digest, Encoded]:
        return store.pictures


class TestGenerate(Shared):
    """Local pictures from words keep every provider's promises."""

    mode = "generate"


class TestEdit(Shared):
    """Local edits keep every provider's promises."""

    mode = "edit"


FAMILIES = ("sd", "xl", "sd3", "flux")
MODES: tuple[Mode, ...] = ("generate", "edit", "inpaint")
EVERYTHING: list[tuple[str, Mode]] = [
    *((name, mode) for name in FAMILIES for mode in MODES),
    *((name, "inpaint") for name in ("sd-inpaint", "sd-inpaint-4", "xl-inpaint")),
]


def inputs_for(mode: Mode, store: Store) -> list[Input]:
    if mode == "generate":
        return []
    init = store.add("init", SOURCE)
    return [init] if mode == "edit" else [init, store.add("mask", MARKS)]


@pytest.mark.parametrize(("model", "mode"), EVERYTHING)
async def test_every_family_makes_what_it_lists(
    local: DiffusersProvider, model: str, mode: Mode
) -> None:
    """Size, progress and previews; the network is refused in the process that does it."""
    assert mode in next(one for one in local.models() if one.id == model).modes
    store = Store()
    request = asked(model, mode, inputs_for(mode, store))
    run = FakeRun(store.pictures)
    generated = await local.generate(request, run)
    assert generated.effective.size == (WIDTH_PX, HEIGHT_PX)
    assert pixels_of(generated).shape == SOURCE.shape
    assert pixels_of(generated).std() > 0
    steps = [fraction for fraction in run.fractions if fraction > 0]
    assert len(steps) >= 3
    assert steps == sorted(set(steps))
    assert steps[-1] < 1
    assert len(run.partials) == 1
    shown = codec.decode(run.partials[0].data)
    assert run.partials[0].media_type == "image/jpeg"
    assert shown.pixels.shape[:2] == (HEIGHT_PX // 2, WIDTH_PX // 2)
    assert generated.details["device"] == "cpu"
    assert generated.details["dtype"] == "float32"


async def test_the_same_seed_makes_the_same_bytes(
    local: DiffusersProvider, own: Callable[..., DiffusersProvider]
) -> None:
    """Also in another process; another seed makes another picture."""
    request = asked("sd")
    first = await made(local, request, Store())
    again = await made(own(), request, Store())
    other = await made(local, request.model_copy(update={"seed": 6}), Store())
    assert first.images[0].data == again.images[0].data
    assert first.images[0].data != other.images[0].data


async def test_a_drawn_seed_makes_the_picture_again(local: DiffusersProvider) -> None:
    first = await made(local, asked("sd", seed=None), Store())
    assert first.effective.seed is not None
    again = await made(local, first.effective, Store())
    assert first.images[0].data == again.images[0].data


async def test_words_options_and_negative_words_reach_the_model(local: DiffusersProvider) -> None:
    plain = asked("sd")
    changes: list[dict[str, Any]] = [
        {"prompt": "a desert"},
        {"negative_prompt": "rain"},
        {"options": {"guidance": 2.0}},
        {"options": {"steps": 6}},
    ]
    requests = [plain, *(plain.model_copy(update=change) for change in changes)]
    found = [(await made(local, request, Store())).images[0].data for request in requests]
    assert len(set(found)) == len(requests)


async def test_less_strength_stays_closer_to_the_source(local: DiffusersProvider) -> None:
    """Against a strength that changes nearly nothing: the small VAE alters all of it."""
    store = Store()
    init = store.add("init", SOURCE)

    async def at(strength: float) -> NDArray[np.float64]:
        options = {"strength": strength, "steps": 40}
        request = asked("sd", "edit", [init], options=options)
        return pixels_of(await made(local, request, store)).astype(np.float64)

    least, little, much = [await at(strength) for strength in (0.025, 0.1, 1.0)]
    assert abs(little - least).mean() < abs(much - least).mean()


@pytest.mark.parametrize("model", ["sd", "sd-inpaint", "sd-inpaint-4", "xl", "sd3", "flux"])
async def test_only_what_is_marked_is_made_anew(local: DiffusersProvider, model: str) -> None:
    """255 = edit: outside, the source stays to the bit; inside, another seed paints otherwise."""
    store = Store()
    inputs = inputs_for("inpaint", store)
    results = [
        pixels_of(await made(local, asked(model, "inpaint", inputs, seed=seed), store))
        for seed in (1, 2)
    ]
    for result in results:
        assert (result[~INSIDE] == SOURCE[~INSIDE]).all()
    differs = (results[0][INSIDE] != results[1][INSIDE]).any(axis=-1)
    assert differs.mean() > 0.9


@pytest.mark.parametrize("model", ["sd", "sd-inpaint", "sd-inpaint-4", "xl", "sd3", "flux"])
async def test_the_model_itself_is_told_what_to_paint(local: DiffusersProvider, model: str) -> None:
    """What it paints depends on the source around it, hardly on the source that it replaces.

    An inverted mask turns the comparison round, with each of these models.
    """
    store = Store()
    mask = store.add("mask", MARKS)

    async def inside(source: NDArray[np.uint8]) -> NDArray[np.float64]:
        inputs = [store.add("init", source), mask]
        result = pixels_of(await made(local, asked(model, "inpaint", inputs), store))
        return result[INSIDE].astype(np.float64)

    replaced, around = SOURCE.copy(), SOURCE.copy()
    replaced[INSIDE] = 255 - replaced[INSIDE]
    around[~INSIDE] = 255 - around[~INSIDE]
    plain = await inside(SOURCE)
    by_replaced = abs(await inside(replaced) - plain).mean()
    assert by_replaced < abs(await inside(around) - plain).mean()
    if model == "sd-inpaint":  # its UNet sees nothing of it
        assert by_replaced == 0


async def test_an_odd_source_is_scaled_and_told(local: DiffusersProvider) -> None:
    store = Store()
    init = store.add("init", SOURCE[:61, :93])
    generated = await made(local, asked("sd", "edit", [init]), store)
    assert generated.effective.size == (96, 64)
    assert pixels_of(generated).shape == (64, 96, 3)
    assert "93x61" in generated.clamped[0]


async def test_words_that_the_model_cannot_read_are_told(local: DiffusersProvider) -> None:
    """CLIP reads 77 tokens, here one for each letter; a T5 that reads along reads more."""
    long = "lighthouse " * 12
    generated = await made(local, asked("sd", prompt=long), Store())
    assert any("reads the first 77" in note for note in generated.clamped)
    assert not (await made(local, asked("flux", prompt=long), Store())).clamped
    assert not (await made(local, asked("sd"), Store())).clamped


async def test_a_picture_that_the_models_checker_blanked_is_refused(
    local: DiffusersProvider,
) -> None:
    with pytest.raises(ProviderRefused, match="safety checker"):
        await made(local, asked("sd-checked"), Store())


async def test_a_device_that_is_not_there_is_told(own: Callable[..., DiffusersProvider]) -> None:
    with pytest.raises(CapabilityMissing, match="device 'mps'"):
        await made(own(device="mps"), asked("sd"), Store())


async def test_a_picture_that_cannot_be_read_is_told(local: DiffusersProvider) -> None:
    store = Store()
    init = store.add("init", SOURCE)
    store.pictures[init.digest] = Encoded(b"no picture", "image/png")
    with pytest.raises(CapabilityMissing, match="the picture"):
        await made(local, asked("sd", "edit", [init]), store)


async def test_a_model_that_cannot_be_loaded_is_told_and_the_next_one_works(
    own: Callable[..., DiffusersProvider], weights: Path, tmp_path: Path
) -> None:
    shutil.copytree(weights / "sd", tmp_path / "w" / "cut")
    shutil.copytree(weights / "sd", tmp_path / "w" / "sd")
    part = tmp_path / "w" / "cut" / "unet" / "diffusion_pytorch_model.safetensors"
    part.write_bytes(part.read_bytes()[:1000])
    provider = own(weights=tmp_path / "w")
    with pytest.raises(ProviderRefused, match="'cut' made nothing"):
        await made(provider, asked("cut"), Store())
    await made(provider, asked("sd"), Store())


async def test_calls_at_the_same_time_wait_for_one_another(local: DiffusersProvider) -> None:
    """And the event loop waits for none of them."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    requests = [asked("sd", seed=seed, options={"steps": 10}) for seed in (1, 2)]
    both = await asyncio.gather(*(made(local, request, Store()) for request in requests))
    ticking.cancel()
    assert both[0].images[0].data != both[1].images[0].data
    assert ticks >= 5


class CallsOff(FakeRun):
    """Does something at the third news of the progress."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__({})
        self._act = act

    async def progress(self, fraction: float, note: str = "") -> None:
        await super().progress(fraction, note)
        if len(self.fractions) == 3:
            self._act()


async def cancelled(provider: DiffusersProvider, act: Callable[[], None]) -> None:
    """Cancel a long call in its third step, after `act`."""
    reached = asyncio.Event()

    def third() -> None:
        act()
        reached.set()

    request = asked("sd", options={"steps": 150})
    task = asyncio.create_task(provider.generate(request, CallsOff(third)))
    await asyncio.wait_for(reached.wait(), WAIT_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancelled_call_stops_and_keeps_the_model(
    own: Callable[..., DiffusersProvider],
) -> None:
    provider = own()
    await made(provider, asked("sd"), Store())
    before = provider.process_id
    await cancelled(provider, lambda: None)
    await made(provider, asked("sd"), Store())
    assert provider.process_id == before is not None


def order_for(weights: Path, request: ImageRequest) -> Order:
    model = next(one for one in scan(weights) if one.id == request.model)
    assert isinstance(model, LocalModel)
    return orders.ask(model, request, config(weights), init=None, mask=None).order


def test_stopping_takes_effect_within_a_step(weights: Path) -> None:
    """The process stops at the end of the step in which it hears of it, and decodes nothing."""
    child, gone = Child(idle_s=0), threading.Event()
    steps: list[Progress] = []

    def tell(news: News) -> None:
        if isinstance(news, Progress) and news.note.startswith("step"):
            steps.append(news)
            if len(steps) == 2:
                gone.set()

    request = asked("sd", size=(128, 128), options={"steps": 150})
    try:
        ended = child.work(order_for(weights, request), tell, gone)
        # Each step is told at its end, but for the one in which it heard of it.
        assert ended == Stopped(len(steps) + 1)
        assert len(steps) < 20
    finally:
        child.close()


async def test_a_process_that_does_not_stop_is_killed(
    own: Callable[..., DiffusersProvider],
) -> None:
    provider = own(stop_s=0.2)
    await made(provider, asked("sd"), Store())
    before = provider.process_id
    assert before is not None
    await cancelled(provider, lambda: os.kill(before, signal.SIGSTOP))
    await made(provider, asked("sd"), Store())
    assert provider.process_id not in (None, before)


async def test_a_process_that_is_killed_fails_one_call_only(
    own: Callable[..., DiffusersProvider],
) -> None:
    provider = own()

    def kill() -> None:
        assert provider.process_id is not None
        os.kill(provider.process_id, signal.SIGKILL)

    with pytest.raises(ProviderUnavailable, match="killed by signal 9"):
        await provider.generate(asked("sd", options={"steps": 150}), CallsOff(kill))
    assert provider.process_id is None
    await made(provider, asked("sd"), Store())


async def test_closing_ends_a_call_that_is_under_way(
    own: Callable[..., DiffusersProvider],
) -> None:
    provider = own()
    closing: list[asyncio.Task[None]] = []

    def close() -> None:
        closing.append(asyncio.create_task(provider.aclose()))

    with pytest.raises(ProviderUnavailable, match="shut down"):
        await provider.generate(asked("sd", options={"steps": 150}), CallsOff(close))
    await closing[0]
    assert provider.process_id is None


async def gone_at_last(is_there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while is_there():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_an_idle_model_leaves_memory_and_comes_back(
    own: Callable[..., DiffusersProvider],
) -> None:
    provider = own(idle_unload_s=0.001)
    first = await made(provider, asked("sd"), Store())
    await gone_at_last(lambda: provider.process_id is not None)
    again = await made(provider, asked("sd"), Store())
    assert first.images[0].data == again.images[0].data


PARENT = """
import asyncio, sys
from pathlib import Path
from maquette.core.requests import ImageRequest
from maquette.providers.diffusers.config import DiffusersConfig
from maquette.providers.diffusers.provider import DiffusersProvider
from maquette.testing.contracts import FakeRun

class Tells(FakeRun):
    async def progress(self, fraction, note=""):
        if note.startswith("step"):
            print(provider.process_id, flush=True)

provider = DiffusersProvider(DiffusersConfig(weights=Path(sys.argv[1]), device="cpu", threads=1))
request = ImageRequest(
    provider="diffusers", model="sd", prompt="a cat", size=(128, 128), options={"steps": 150}
)
asyncio.run(provider.generate(request, Tells({})))
"""


def alive(pid: int) -> bool:
    """Tell whether a process computes; one that nobody has collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_the_process_dies_with_its_parent(weights: Path) -> None:
    """kill -9 of Maquette leaves no orphan that holds gigabytes."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(weights)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    asyncio.run(gone_at_last(lambda: alive(pid)))


OFFLINE = """
import socket
from maquette.providers.diffusers import worker
worker.go_offline()
import huggingface_hub
assert huggingface_hub.is_offline_mode()
for act in (
    lambda: socket.create_connection(("127.0.0.1", 9), 1),
    lambda: socket.getaddrinfo("localhost", 80),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)),
):
    try:
        act()
    except OSError as error:
        assert "never use the network" in str(error), error
    else:
        raise SystemExit("it got through")
"""


def test_the_process_refuses_the_network() -> None:
    """Every test above ran under this: weights are never fetched."""
    subprocess.run([sys.executable, "-c", OFFLINE], check=True)


PICKLE = """
import sys, torch
from pathlib import Path

class Trap:
    def __reduce__(self):
        return (Path.touch, (Path(sys.argv[2]),))

part = Path(sys.argv[1]) / "unet"
(part / "diffusion_pytorch_model.safetensors").unlink()
torch.save(Trap(), part / "diffusion_pytorch_model.bin")
"""


def test_pickled_weights_are_refused(weights: Path, tmp_path: Path) -> None:
    """Before loading, and by the loader too, should the files change in between."""
    shutil.copytree(weights / "sd", tmp_path / "w" / "sd")
    order = order_for(tmp_path / "w", asked("sd"))
    sprung = tmp_path / "sprung"
    subprocess.run(
        [sys.executable, "-c", PICKLE, str(tmp_path / "w" / "sd"), str(sprung)], check=True
    )
    with pytest.raises(CapabilityMissing, match="pickled weights"):
        DiffusersProvider(config(tmp_path / "w")).check(asked("sd"))
    child = Child(idle_s=0)
    try:
        ended = child.work(order, lambda _news: None, threading.Event())
    finally:
        child.close()
    assert isinstance(ended, Failed)
    assert not sprung.exists()
