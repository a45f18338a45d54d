"""Pictures made on this machine, with Hugging Face diffusers and weights of the user's own."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from maquette.core.errors import CapabilityMissing, ProviderUnavailable
from maquette.core.money import FREE, Usd
from maquette.core.provider import Provider, Run
from maquette.core.requests import Encoded, Generated, ImageRequest, ModelProfile
from maquette.core.tools import Tool
from maquette.core.wire import Limits, WireRules
from maquette.providers.diffusers import checks, failures, orders
from maquette.providers.diffusers.child import Child
from maquette.providers.diffusers.config import WEIGHTS_SETTING, DiffusersConfig
from maquette.providers.diffusers.folder import INDEX, LocalModel, Unusable, is_model, scan
from maquette.providers.diffusers.messages import End, Failed, Made, News, Order, Progress, Stopped
from maquette.providers.diffusers.profiles import profile

log = logging.getLogger(__name__)

_LOOK_HOLDS_S = 1.0
PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "safetensors")


def lacking_packages() -> Sequence[str]:
    """Name what the extra would bring and is not installed; nothing is imported."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


class DiffusersProvider(Provider):
    """Keeps one model loaded, in one process of its own; calls wait for one another there."""

    id = "diffusers"
    config = DiffusersConfig
    tool = Tool(
        name="local",
        extra="local",
        purpose="makes and edits pictures on this machine, with models of your own",
        licence="diffusers, transformers, accelerate and safetensors: Apache-2.0; torch: "
        "BSD-3-Clause, with parts under other free licences; each model has its own licence, which "
        "you accept where you get it",
        size="about 1.1 GB installed for the processor alone, several times that with CUDA; models "
        "(commonly 2 to 30 GB each) are never fetched, you put them into a folder",
        source="https://github.com/huggingface/diffusers and https://pytorch.org",
    )

    def __init__(
        self,
        config: DiffusersConfig,
        *,
        stop_s: float = 10.0,
        lacking: Callable[[], Sequence[str]] = lacking_packages,
    ) -> None:
        self._config = config
        self._lacking = lacking
        self._child = Child(idle_s=config.idle_unload_s, stop_s=stop_s)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="local-model")
        self._under_way: set[threading.Event] = set()
        self._seen: tuple[float, Sequence[LocalModel | Unusable]] | None = None

    @classmethod
    def build(cls, config: DiffusersConfig, rules: WireRules) -> DiffusersProvider:
        return cls(config)

    @property
    def process_id(self) -> int | None:
        """Whose memory the model is in; None: nobody's."""
        return self._child.pid

    def models(self) -> Sequence[ModelProfile]:
        deterministic = self._config.device == "cpu"
        return [
            profile(one, deterministic=deterministic)
            for one in self._found()
            if isinstance(one, LocalModel)
        ]

    def missing(self, keys: Collection[str] = ()) -> str | None:
        """Say the first of: the extra, the setting, a model."""
        lacking = self._lacking()
        if lacking:
            return (
                f"Install the extra ({', '.join(lacking)} not found): `pip install torch` for your "
                "device first, then `pip install 'maquette[local]'`."
            )
        folder = self._weights()
        if folder is None:
            return f"Set {WEIGHTS_SETTING} to a folder of diffusers models."
        if not folder.is_dir():
            return f"{WEIGHTS_SETTING} is {str(folder)!r}, which is not a folder; put models there."
        if is_model(folder):
            return f"{WEIGHTS_SETTING} is {str(folder)!r}, a model; set it to the folder above."
        found = self._found()
        if any(isinstance(one, LocalModel) for one in found):
            return None
        whys = "".join(f" {one.id!r}: {one.why}." for one in found if isinstance(one, Unusable))
        return (
            f"There is no usable model in {str(folder)!r}: put one there, a folder that has a "
            f"{INDEX}.{whys}"
        )

    def limits(self) -> Limits:
        return self._config.limits

    def check(self, request: ImageRequest) -> None:
        checks.check(self._model(request), request, self._config.steps)

    def estimate(self, request: ImageRequest) -> Usd:
        return FREE

    async def generate(self, request: ImageRequest, run: Run) -> Generated:
        self._seen = None
        self.check(request)
        if self._lacking():
            raise CapabilityMissing(f"Nothing was made. {self.missing()}")
        inits, masks = request.by_role("init"), request.by_role("mask")
        asked = orders.ask(
            self._model(request),
            request,
            self._config,
            init=(await run.read(inits[0].digest)).data if inits else None,
            mask=(await run.read(masks[0].digest)).data if masks else None,
        )
        made = await self._order(asked.order, run)
        return Generated(
            images=[Encoded(made.data, "image/png")],
            effective=asked.effective,
            cost=FREE,
            clamped=(*asked.clamped, *made.notes),
            details=made.details,
        )

    async def aclose(self) -> None:
        for gone in tuple(self._under_way):
            gone.set()
        await asyncio.wrap_future(self._thread.submit(self._child.close))

    async def _order(self, order: Order, run: Run) -> Made:
        """Wait for the picture and pass news on; whatever ends the wait gives the order up."""
        loop = asyncio.get_running_loop()
        inbox: asyncio.Queue[News | End] = asyncio.Queue()
        gone = threading.Event()

        def tell(news: News | End) -> None:
            with suppress(RuntimeError):  # the loop is closed, so nobody waits any more
                loop.call_soon_threadsafe(inbox.put_nowait, news)

        self._under_way.add(gone)
        self._thread.submit(lambda: tell(self._child.work(order, tell, gone)))
        try:
            while True:
                news = await inbox.get()
                if isinstance(news, Made):
                    return news
                if isinstance(news, Failed):
                    raise failures.failure(news, Path(order.folder).name)
                if isinstance(news, Stopped):
                    raise ProviderUnavailable("The local model was shut down; nothing was made.")
                await _pass_on(news, run)
        finally:
            gone.set()
            self._under_way.discard(gone)

    def _weights(self) -> Path | None:
        return None if self._config.weights is None else self._config.weights.expanduser()

    def _found(self) -> Sequence[LocalModel | Unusable]:
        """Look into the folder; a plan asks once for each scene, so a look holds for a second."""
        now = time.monotonic()
        if self._seen is None or now - self._seen[0] > _LOOK_HOLDS_S:
            folder = self._weights()
            self._seen = now, () if folder is None else scan(folder.absolute())
        return self._seen[1]

    def _model(self, request: ImageRequest) -> LocalModel:
        found = self._found()
        for one in found:
            if one.id != request.model:
                continue
            if isinstance(one, Unusable):
                raise CapabilityMissing(
                    f"{one.id!r} cannot be used, so nothing was made: {one.why}."
                )
            return one
        usable = ", ".join(repr(one.id) for one in found if isinstance(one, LocalModel))
        raise CapabilityMissing(
            f"{self.id!r} has no model {request.model!r}, so nothing was made; it has: "
            f"{usable or 'none'}. {self.missing() or ''}".rstrip()
        )


async def _pass_on(news: News, run: Run) -> None:
    if isinstance(news, Progress):
        await run.progress(news.fraction, news.note)
        return
    try:
        await run.partial(news.index, Encoded(news.data, "image/jpeg"))
    except Exception:
        log.exception("an unfinished picture could not be shown")
