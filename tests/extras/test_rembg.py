"""LAB-9: background removal by rembg, with tiny networks made here: no weights can be fetched."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from maquette.core.errors import CapabilityMissing, OperationFailed
from maquette.core.operation import Operation, Result
from maquette.core.raster import Raster
from maquette.imaging.apply import apply
from maquette.ops.rembg import REMBG, RembgParams, packages, session
from maquette.ops.rembg.models import MODELS
from maquette.testing.contracts import FixedWork, OperationContract
from maquette.testing.tiny_onnx import brightness_network

EXTRA = "rembg"
ABSENT = ", ".join(packages.lacking())
if ABSENT and EXTRA in os.environ.get("MAQUETTE_EXTRAS_REQUIRED", "").split():
    pytest.fail(f"MAQUETTE_EXTRAS_REQUIRED names {EXTRA!r}, but {ABSENT} is missing", pytrace=False)
if ABSENT:
    pytest.skip(f"extra {EXTRA!r}: {ABSENT} is not installed", allow_module_level=True)

Pixels = NDArray[np.uint8]
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PREPARATIONS = {
    "u2net": IMAGENET,
    "isnet-general-use": ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0)),
    "isnet-anime": (IMAGENET[0], (1.0, 1.0, 1.0)),
    "birefnet-general": IMAGENET,
}
"""What each kind of network was trained to be handed: `(value - mean) / deviation`."""


def network_for(name: str, gain: float = 40.0, threshold: float = 0.5) -> bytes:
    """Say how much brighter than `threshold` a pixel is, undoing that model's preparation."""
    mean, deviation = PREPARATIONS[name]
    weights = [gain * one / 3 for one in deviation]
    bias = gain * (sum(mean) / 3 - threshold)
    return brightness_network(MODELS[name].side_px, weights, bias, sigmoid=not MODELS[name].logits)


@pytest.fixture(autouse=True)
def tried(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every attempt to reach another machine fails, and is remembered."""
    attempts: list[object] = []

    def refuse(*args: object, **_kwargs: object) -> None:
        attempts.append(args)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    session.forget()
    return attempts


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bytes], Path]:
    """Put a file in the weights folder as if its authors had published it; return the folder."""

    def installed(name: str, data: bytes) -> Path:
        checksum = f"sha256:{hashlib.sha256(data).hexdigest()}"
        file = replace(MODELS[name].file, checksum=checksum, size_bytes=len(data))
        monkeypatch.setitem(MODELS, name, replace(MODELS[name], file=file))
        path = tmp_path / file.path
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return tmp_path

    return installed


Install = Callable[[str, bytes], Path]


def lamp(height: int = 150, width: int = 260) -> Pixels:
    """Return a bright ellipse up and left on a dark, noisy ground: no symmetry at all."""
    canvas = np.random.default_rng(3).integers(20, 60, (height, width, 3)).astype(np.uint8)
    centre, axes = (width // 4, height // 3), (width // 8, height // 5)
    cv2.ellipse(canvas, centre, axes, 0, 0, 360, (250, 220, 200), -1, cv2.LINE_AA)
    return canvas


def truth(picture: Pixels) -> NDArray[np.bool_]:
    return picture.mean(axis=2) > 127.5


def cut(weights: Path, picture: Pixels, **params: Any) -> Result:
    work = FixedWork(weights=weights)
    return apply(REMBG, {"image": Raster(picture)}, RembgParams(**params), work)


def made(result: Result) -> Pixels:
    assert result.image is not None
    return result.image.pixels


class TestRembg(OperationContract):
    """LAB-9: the contract, with a network that keeps what is bright."""

    @pytest.fixture
    def operation(self) -> Operation[Any]:
        return REMBG

    @pytest.fixture
    def weights(self, install: Install) -> Path:
        return install("u2net", network_for("u2net"))

    @pytest.fixture
    def neutral(self) -> None:
        return None


class TestRembgWithoutMatting(TestRembg):
    """The mask alone, filtered."""

    @pytest.fixture
    def params(self, operation: Operation[Any]) -> RembgParams:
        return RembgParams(alpha_matting=False, decontaminate=False)


@pytest.mark.parametrize("name", PREPARATIONS)
@pytest.mark.parametrize("way", ["guided", "closed-form"])
def test_the_subject_is_kept_where_it_is(name: str, way: str, install: Install) -> None:
    weights = install(name, network_for(name))
    picture = lamp()
    result = cut(weights, picture, model=name, alpha_matting=way == "closed-form")
    alpha, subject = made(result)[..., 3], truth(picture)
    assert made(result).shape == (*picture.shape[:2], 4)
    overlap = ((alpha > 127) & subject).sum() / ((alpha > 127) | subject).sum()
    assert overlap > 0.97
    assert (alpha[80:, 130:] == 0).all(), "nothing where the ground is"
    inner = cv2.erode(subject.astype(np.uint8), np.ones((15, 15))) == 1
    assert (alpha[inner] == 255).all(), "no holes"
    np.testing.assert_array_equal(made(result)[inner][:, :3], picture[inner])
    assert result.data["model"] == name
    assert result.data["edges"] == way
    assert result.findings == ()


@pytest.mark.parametrize("name", PREPARATIONS)
def test_a_model_sees_the_picture_as_it_was_trained_to(name: str, install: Install) -> None:
    """A ramp crosses the threshold where the network says, only if the preparation is right."""
    weights = install(name, network_for(name, gain=200.0, threshold=0.7))
    ramp = np.linspace(0, 255, 512).astype(np.uint8)
    picture = np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (64, 512, 3)))
    mask = session.network(MODELS[name], MODELS[name].path(weights)).look(picture).mask
    crossing = int((mask[10] > 127).argmax()) / mask.shape[1]
    assert crossing == pytest.approx(0.7, abs=0.01)


def test_without_a_name_the_first_of_the_order_is_taken(install: Install) -> None:
    install("u2netp", b"never opened")
    weights = install("u2net", network_for("u2net"))
    assert REMBG.resolve is not None
    assert REMBG.resolve(RembgParams(), weights).model == "u2net"
    assert cut(weights, lamp()).data["model"] == "u2net"


def test_an_absent_model_is_refused_and_not_downloaded(
    tmp_path: Path, install: Install, tried: list[object]
) -> None:
    with pytest.raises(CapabilityMissing, match="maquette tools setup rembg"):
        cut(tmp_path, lamp())
    weights = install("u2net", network_for("u2net"))
    before = sorted(weights.rglob("*"))
    with pytest.raises(CapabilityMissing, match=r"u2netp.*There are: 'u2net'"):
        cut(weights, lamp(), model="u2netp")
    assert tried == []
    assert sorted(weights.rglob("*")) == before


def test_a_file_that_vanishes_is_an_error_and_not_a_download(
    install: Install, tried: list[object]
) -> None:
    weights = install("u2net", network_for("u2net"))
    path = MODELS["u2net"].path(weights)
    path.unlink()
    with pytest.raises(OperationFailed, match="could not be read"):
        session.network(MODELS["u2net"], path)
    assert tried == []


def test_a_file_with_another_checksum_is_refused_and_not_downloaded(
    install: Install, tried: list[object]
) -> None:
    """The history of a picture names the model, so another one must not bear its name."""
    data = network_for("u2net")
    weights = install("u2net", data)
    MODELS["u2net"].path(weights).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(OperationFailed, match="is not the file that its authors published"):
        cut(weights, lamp())
    assert tried == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x00 no network at all " * 50, "could not be loaded"),
        (b"", "could not be loaded"),
        (network_for("isnet-general-use"), "could not be run"),
    ],
    ids=["garbage", "empty", "another size"],
)
def test_what_is_no_such_network_is_a_clear_error(
    data: bytes, said: str, install: Install, tried: list[object]
) -> None:
    weights = install("u2net", data)
    with pytest.raises(OperationFailed, match=said):
        cut(weights, lamp(), model="u2net")
    assert tried == []


def test_a_network_that_says_no_numbers_is_a_clear_error(install: Install) -> None:
    bias = float("nan")
    weights = install("u2net", brightness_network(320, (0, 0, 0), bias, sigmoid=True))
    with pytest.raises(OperationFailed, match="not finite"):
        cut(weights, lamp())


@pytest.mark.parametrize(
    ("bias", "said", "level"),
    [(-30.0, "hardly anything", 0), (30.0, "nearly everything", 255), (0.1, "neither", 134)],
    ids=["nothing", "everything", "undecided"],
)
def test_a_mask_that_says_nothing_is_reported(
    bias: float, said: str, level: int, install: Install
) -> None:
    """rembg stretches such a mask to noise at full strength."""
    weights = install("u2net", brightness_network(320, (0, 0, 0), bias, sigmoid=True))
    result = cut(weights, lamp())
    [finding] = result.findings
    assert finding.code == "doubtful_cutout" and finding.severity == "soft"
    assert said in finding.message
    assert result.data["confidence"] == finding.measured
    assert abs(int(np.median(made(result)[..., 3])) - level) <= 1


def test_what_is_transparent_stays_transparent(install: Install) -> None:
    weights = install("u2net", network_for("u2net"))
    picture = lamp()
    own = np.full(picture.shape[:2], 255, np.uint8)
    own[60:] = 128
    own[:, :65] = 0
    alpha = made(cut(weights, np.dstack([picture, own])))[..., 3]
    assert (alpha <= own).all()
    assert (alpha[:, :65] == 0).all()
    assert alpha[50, 75] == 255
    hidden = picture.copy()
    hidden[:, :65] = 255
    again = made(cut(weights, np.dstack([hidden, own])))[..., 3]
    np.testing.assert_array_equal(again, alpha, "what is hidden has no say")


def test_one_network_is_loaded_and_kept(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = install("u2net", network_for("u2net"))
    install("u2netp", brightness_network(320, (9, 9, 9), 0, sigmoid=True))
    loaded: list[str] = []
    built = session.Network.__init__

    def counted(self: session.Network, model: Any, path: Path) -> None:
        loaded.append(model.name)
        built(self, model, path)

    monkeypatch.setattr(session.Network, "__init__", counted)
    for name in ("u2net", "u2net", "u2netp", "u2netp", "u2net"):
        cut(weights, lamp(), model=name)
    assert loaded == ["u2net", "u2netp", "u2net"]


def test_a_bare_program_cuts_out_without_any_network(tmp_path: Path, install: Install) -> None:
    """In a process of its own, as in a worker: no home, no proxy, no cache of rembg is touched."""
    weights = install("u2net", network_for("u2net"))
    home = tmp_path / "home"
    program = (
        "import socket, sys, dataclasses\n"
        "def refuse(*_a, **_k): raise SystemExit('a connection was tried')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from maquette.core.raster import Raster\n"
        "from maquette.ops.rembg import REMBG, RembgParams, models\n"
        "from maquette.testing.contracts import FixedWork\n"
        "one = models.MODELS['u2net']\n"
        "file = dataclasses.replace(one.file, checksum='', size_bytes=0)\n"
        "models.MODELS['u2net'] = dataclasses.replace(one, file=file)\n"
        "picture = np.zeros((40, 60, 3), np.uint8); picture[5:20, 5:25] = 255\n"
        "work = FixedWork(weights=Path(sys.argv[1]))\n"
        "made = REMBG.apply({'image': Raster(picture)}, RembgParams(), work).image.pixels\n"
        "assert made[10, 10, 3] == 255 and made[30, 50, 3] == 0, made[..., 3]\n"
        "assert 'rembg.sessions' in sys.modules\n"
    )
    environment = {**os.environ, "HOME": str(home), "XDG_DATA_HOME": str(home / "data")}
    done = subprocess.run(
        [sys.executable, "-c", program, str(weights)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not list(home.rglob("*.onnx"))
    assert not (home / ".u2net").exists() and not (home / "data" / "rembg").exists()
