"""LAB-9, LAB-15: what rembg says of itself where it, or a model, is not there."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from maquette.core.errors import BadParameter, CapabilityMissing
from maquette.core.raster import Raster
from maquette.ops.rembg import REMBG, RembgParams, doubt, packages, resolve
from maquette.ops.rembg.edges import fitted
from maquette.ops.rembg.models import MODELS, REMOTE, TOOL, present
from maquette.ops.rembg.session import Seen
from maquette.testing.contracts import FixedWork

COMMAND = "maquette tools setup rembg"
NO_EXTRA = pytest.mark.skipif(not packages.lacking(), reason="the extra 'rembg' is installed")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    (tmp_path / "rembg").mkdir()
    return tmp_path


def put(weights: Path, *names: str) -> None:
    """Place files as long as the models of these names; nothing is read of them."""
    for name in names:
        with MODELS[name].path(weights).open("wb") as file:
            file.truncate(MODELS[name].file.size_bytes or 1)


@NO_EXTRA
def test_without_the_extra_it_says_how_to_get_it(weights: Path) -> None:
    put(weights, "u2net")
    said = REMBG.missing(weights)
    assert said is not None
    assert "'rembg'" in said and "onnxruntime" in said and COMMAND in said
    picture = Raster(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(CapabilityMissing, match=COMMAND):
        REMBG.apply({"image": picture}, RembgParams(), FixedWork(weights=weights))


def test_without_a_model_it_says_how_to_get_one(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "lacking", list[str])
    said = REMBG.missing(weights)
    assert said is not None
    assert str(weights / "rembg") in said and COMMAND in said
    put(weights, "u2netp")
    assert REMBG.missing(weights) is None


def test_asking_what_is_missing_imports_nothing(weights: Path) -> None:
    """The plan asks; a second and a half of imports belong in a worker."""
    before = {name for name in sys.modules if name.startswith(("rembg", "onnxruntime"))}
    REMBG.missing(weights)
    assert {name for name in sys.modules if name.startswith(("rembg", "onnxruntime"))} == before


def test_a_half_downloaded_file_is_no_model(weights: Path) -> None:
    put(weights, "u2net")
    with MODELS["u2net"].path(weights).open("r+b") as file:
        file.truncate(1000)
    assert present(weights) == []
    with pytest.raises(CapabilityMissing, match="another length"):
        resolve(RembgParams(model="u2net"), weights)


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        (("u2netp", "isnet-general-use", "u2net"), "isnet-general-use"),
        (("isnet-anime", "birefnet-general"), "birefnet-general"),
        (("bria-rmbg", "isnet-anime"), "isnet-anime"),
    ],
)
def test_without_a_name_the_order_decides(
    there: tuple[str, ...], taken: str, weights: Path
) -> None:
    put(weights, *there)
    resolved = resolve(RembgParams(), weights)
    assert resolved.model == taken
    assert resolve(resolved, weights) == resolved


def test_a_model_that_forbids_commercial_use_is_never_taken_unasked(weights: Path) -> None:
    put(weights, "bria-rmbg")
    with pytest.raises(CapabilityMissing, match=r"`rembg:bria-rmbg`"):
        resolve(RembgParams(), weights)
    assert resolve(RembgParams(model="bria-rmbg"), weights).model == "bria-rmbg"
    assert [name for name, one in MODELS.items() if "NC" in one.file.licence] == ["bria-rmbg"]


@pytest.mark.parametrize("name", ["no-such-model", "../u2net", "U2NET", "u2net.onnx", "sam"])
def test_an_unknown_model_is_refused_with_those_that_are_there(name: str, weights: Path) -> None:
    put(weights, "u2net")
    with pytest.raises(BadParameter, match=r"There are: 'u2net'\. Choose one of: isnet-general"):
        resolve(RembgParams(model=name), weights)


@pytest.mark.parametrize("name", REMOTE)
def test_a_service_behind_rembg_is_refused(name: str, weights: Path) -> None:
    with pytest.raises(BadParameter, match=r"sends the picture to a service.*nothing was sent"):
        resolve(RembgParams(model=name), weights)
    assert name not in MODELS


@pytest.mark.parametrize(
    ("name", "way"),
    [("u2net", COMMAND), ("silueta", "Put https://github.com/danielgatis/rembg/releases/")],
)
def test_an_absent_model_is_refused_with_the_way_to_it(name: str, way: str, weights: Path) -> None:
    put(weights, "u2netp")
    with pytest.raises(CapabilityMissing, match=r"There are: 'u2netp'\.") as error:
        resolve(RembgParams(model=name), weights)
    said = str(error.value)
    assert "nothing was downloaded" in said and way in said
    assert repr(str(MODELS[name].path(weights))) in said


def test_the_tool_says_what_it_would_download() -> None:
    assert REMBG.tool is TOOL
    assert TOOL.command == COMMAND and TOOL.extra == "rembg"
    assert {one.path for one in TOOL.files} == {"rembg/isnet-general-use.onnx", "rembg/u2net.onnx"}
    assert all(one.size_bytes > 10**8 for one in TOOL.files)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_every_model_says_whose_it_is_and_how_it_is_known(model: object) -> None:
    one = MODELS[getattr(model, "name", "")]
    kind, _, digest = one.file.checksum.partition(":")
    assert len(digest) == {"md5": 32, "sha256": 64}[kind]
    assert one.file.path == f"rembg/{one.name}.onnx"
    assert one.file.address.startswith("https://") and one.file.address.endswith(".onnx")
    assert one.file.licence
    assert one.logits == one.name.startswith("birefnet")


def seen(mask: float, *, highest: float = 1.0) -> Seen:
    plane = np.zeros((100, 100), np.uint8)
    plane[30:70, 30:70] = round(255 * mask)
    return Seen(plane, 0.0, highest)


def test_a_mask_without_doubt_has_no_finding() -> None:
    assert doubt.confidence(seen(1)) == 1
    assert doubt.findings("u2net", seen(1)) == ()


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (seen(1, highest=0.1), "hardly anything"),
        (seen(0), "hardly anything"),
        (Seen(np.full((100, 100), 255, np.uint8), 1.0, 1.0), "nearly everything"),
        (seen(0.5), "neither inside nor outside"),
    ],
)
def test_a_doubtful_mask_says_why(found: Seen, said: str) -> None:
    [finding] = doubt.findings("u2net", found)
    assert said in finding.message and "'u2net'" in finding.message
    assert finding.measured == doubt.confidence(found) < doubt.DOUBTFUL


def test_an_enlarged_mask_follows_the_picture() -> None:
    """The mask's own steps are six pixels; the edge that the picture shows is one."""
    columns = np.arange(600)
    edge = 300 + 20 * np.sin(np.arange(400) / 30)
    truth = columns[None, :] < edge[:, None]
    picture = np.where(truth[..., None], (200, 90, 40), (40, 80, 160)).astype(np.uint8)
    rows = np.arange(0, 400, 4)
    mask = np.where(columns[None, ::6] < edge[rows][:, None], 255, 0).astype(np.uint8)
    found = fitted(picture, mask, matting=False)
    assert found.way == "guided"
    assert ((found.alpha > 127) == truth).mean() > 0.999
    assert (found.alpha[truth & (columns < 240)] == 255).all()
    assert (found.alpha[~truth & (columns > 360)] == 0).all()
