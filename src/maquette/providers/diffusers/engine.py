"""The only file that touches torch and diffusers; it runs in a process of its own.

Neither is there in a plain installation, so both are looked up by name and have no types here.
"""

from __future__ import annotations

import gc
import importlib
import inspect
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maquette.core.errors import CapabilityMissing, InvalidInput
from maquette.imaging import png
from maquette.providers.diffusers import pictures
from maquette.providers.diffusers.messages import End, Failed, Made, Order, Stopped, Task
from maquette.providers.diffusers.previews import Previewer

_SWITCH: Mapping[Task, str] = {
    "generate": "AutoPipelineForText2Image",
    "edit": "AutoPipelineForImage2Image",
    "inpaint": "AutoPipelineForInpainting",
}
_LONGEST_COMPLAINT = 600


class Watch(Protocol):
    """Whoever waits for the picture."""

    def told(self, fraction: float, note: str) -> None: ...
    def shown(self, index: int, data: bytes) -> None: ...
    def stopped(self) -> bool: ...


class _Stopping(Exception):
    """Raised between two steps: the rest, the decoding too, is left out."""

    def __init__(self, steps: int) -> None:
        super().__init__(steps)
        self.steps = steps


class Engine:
    """Holds one loaded model, and the pipelines that share its parts."""

    def __init__(self) -> None:
        self._torch: Any = importlib.import_module("torch")
        _be_quiet("transformers")
        self._diffusers: Any = importlib.import_module("diffusers")
        _be_quiet("diffusers")
        # Its own would be shared between processes, and outlive one that is killed.
        importlib.import_module("tqdm").tqdm.set_lock(threading.RLock())
        self._key: tuple[object, ...] | None = None
        self._device = ""
        self._dtype: Any = None
        self._pipelines: dict[Task | None, Any] = {}
        self._previewer: Previewer | None = None

    def make(self, order: Order, watch: Watch) -> End:
        """Return the picture, or why there is none; a failed load leaves nothing behind."""
        if order.threads is not None:
            self._torch.set_num_threads(order.threads)
        try:
            pipeline = self._pipeline(order, watch)
            return self._made(pipeline, order, watch)
        except _Stopping as stopping:
            return Stopped(stopping.steps)
        except InvalidInput as error:
            return Failed("unfit", str(error))
        except MemoryError:
            return _out_of_memory(order)
        except Exception as error:  # noqa: BLE001 - a pipeline may raise anything
            if self._is_out_of_memory(error):
                return _out_of_memory(order)
            return Failed("failed", f"{type(error).__name__}: {error}"[:_LONGEST_COMPLAINT])

    def _pipeline(self, order: Order, watch: Watch) -> Any:
        device = self._where(order)
        dtype = self._precision(order, device)
        key = (order.folder, order.stamp, order.variant, device, dtype)
        if key != self._key:
            watch.told(0.0, "loading the model")
            self._unload()
            loaded = self._diffusers.DiffusionPipeline.from_pretrained(
                order.folder,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                variant=order.variant,
                dtype=dtype,
            ).to(device)
            self._pipelines[None] = loaded
            self._previewer = Previewer(loaded, self._torch)
            self._key, self._device, self._dtype = key, device, dtype
        if order.task not in self._pipelines:
            switch = getattr(self._diffusers, _SWITCH[order.task])
            switched = switch.from_pipe(self._pipelines[None])
            switched.set_progress_bar_config(disable=True)
            self._pipelines[order.task] = switched
        return self._pipelines[order.task]

    def _made(self, pipeline: Any, order: Order, watch: Watch) -> Made | Failed:
        takes = inspect.signature(pipeline.__call__).parameters
        if order.negative_prompt and "negative_prompt" not in takes:
            return Failed("unfit", f"{type(pipeline).__name__} takes no negative prompt.")
        words = _words(order)
        given = marks = None
        notes = list(_cut_words(pipeline, takes, order))
        if order.init is not None:
            given = pictures.init(order.init, order.width_px, order.height_px)
            words["image"] = Image.fromarray(given.pixels)
            notes += given.notes
        if order.mask is not None:
            marks = pictures.mask(order.mask, order.width_px, order.height_px)
            words["mask_image"] = Image.fromarray(pictures.whole(marks))
        words |= {
            # Always drawn on the processor: a device's own noise differs from maker to maker.
            "generator": self._torch.Generator("cpu").manual_seed(order.seed),
            "callback_on_step_end": self._on_step_end(order, watch),
            "output_type": "pil",
        }
        if watch.stopped():
            raise _Stopping(0)
        output = pipeline(**{name: value for name, value in words.items() if name in takes})
        if any(getattr(output, "nsfw_content_detected", None) or ()):
            return Failed(
                "refused", "the safety checker that comes with the model blanked the picture"
            )
        pixels = np.asarray(output.images[0].convert("RGB"), np.uint8)
        if pixels.shape[:2] != (order.height_px, order.width_px):
            size = f"{pixels.shape[1]}x{pixels.shape[0]}"
            return Failed("failed", f"the pipeline made {size} px instead of what was asked for")
        if given is not None and marks is not None:
            pixels = pictures.put_back(pixels, given.pixels, marks)
        return self._finished(pixels, pipeline, notes)

    def _finished(self, pixels: NDArray[np.uint8], pipeline: Any, notes: list[str]) -> Made:
        details = {
            "pipeline": type(pipeline).__name__,
            "scheduler": type(pipeline.scheduler).__name__,
            "device": self._device,
            "dtype": str(self._dtype).removeprefix("torch."),
            "threads": str(self._torch.get_num_threads()),
            "torch": str(self._torch.__version__),
            "diffusers": str(self._diffusers.__version__),
        }
        return Made(png.write(np.ascontiguousarray(pixels)), tuple(notes), details)

    def _on_step_end(self, order: Order, watch: Watch) -> Callable[..., dict[str, Any]]:
        every = order.preview_every_steps

        def on_step_end(
            pipeline: Any, step: int, _timestep: Any, tensors: dict[str, Any]
        ) -> dict[str, Any]:
            done, total = step + 1, int(getattr(pipeline, "num_timesteps", 0) or order.steps)
            if watch.stopped():
                raise _Stopping(done)
            # One more than there are steps: the decoding is still to come.
            watch.told(min(1.0, done / (total + 1)), f"step {done} of {total}")
            if every and done % every == 0 and done < total and self._previewer is not None:
                shown = self._previewer.show(
                    tensors.get("latents"), order.width_px, order.height_px
                )
                if shown is not None:
                    watch.shown(done // every - 1, shown)
            return {}

        return on_step_end

    def _where(self, order: Order) -> str:
        has = {
            "cpu": True,
            "cuda": bool(self._torch.cuda.is_available()),
            "mps": bool(self._torch.backends.mps.is_available()),
        }
        if order.device == "auto":
            return next(name for name in ("cuda", "mps", "cpu") if has[name])
        if not has[order.device]:
            raise CapabilityMissing(
                f"The settings ask for the device {order.device!r} and this torch "
                f"({self._torch.__version__}) sees none, so nothing was made; set it to 'auto', or "
                "install a torch that is built for it."
            )
        return order.device

    def _precision(self, order: Order, device: str) -> Any:
        name = order.dtype
        if name == "auto":
            name = "float32" if device == "cpu" else order.half
        return getattr(self._torch, name)

    def _is_out_of_memory(self, error: Exception) -> bool:
        if isinstance(error, self._torch.OutOfMemoryError):
            return True
        # Without a device of its own, torch has no error class for it.
        return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)

    def _unload(self) -> None:
        self._key, self._previewer = None, None
        self._pipelines.clear()
        gc.collect()
        if self._torch.cuda.is_available():
            self._torch.cuda.empty_cache()


def _out_of_memory(order: Order) -> Failed:
    size = f"{order.width_px}x{order.height_px}"
    return Failed("memory", f"there is not enough memory for this model at {size} px")


def _words(order: Order) -> dict[str, Any]:
    words: dict[str, Any] = {
        "prompt": order.prompt,
        "height": order.height_px,
        "width": order.width_px,
        "num_inference_steps": order.steps,
        "guidance_scale": order.guidance,
        "num_images_per_prompt": 1,
    }
    if order.negative_prompt:
        words["negative_prompt"] = order.negative_prompt
    if order.task != "generate":
        words["strength"] = order.strength
    return words


def _cut_words(pipeline: Any, takes: Mapping[str, Any], order: Order) -> list[str]:
    """Say where the model reads only the beginning of a text: it cuts the rest off silently."""
    tokenizer, most = pipeline.tokenizer, getattr(pipeline.tokenizer, "model_max_length", None)
    for other in ("tokenizer_2", "tokenizer_3"):
        # Where a T5 reads along, it reads the most.
        if type(getattr(pipeline, other, None)).__name__.startswith("T5"):
            tokenizer, most = getattr(pipeline, other), takes["max_sequence_length"].default
    if tokenizer is None or not isinstance(most, int):
        return []
    notes: list[str] = []
    for name, text in (("prompt", order.prompt), ("negative prompt", order.negative_prompt)):
        has = len(tokenizer(text).input_ids)
        if has > most:
            notes.append(f"the {name} has {has} tokens, of which the model reads the first {most}")
    return notes


def _be_quiet(package: str) -> None:
    """Keep bars, hints and warnings off the terminal: we say what matters ourselves."""
    warnings.simplefilter("ignore")
    logging: Any = importlib.import_module(f"{package}.utils.logging")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
