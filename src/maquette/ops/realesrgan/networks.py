"""The two network shapes of the Real-ESRGAN family, told apart by their weights alone.

Written from the papers and the names in published weights; torch is handed in, so that this
imports where there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from maquette.core.errors import BadParameter

Tensor: TypeAlias = Any
Shape: TypeAlias = tuple[int, ...]
Shapes: TypeAlias = Mapping[str, Shape]
State: TypeAlias = Mapping[str, Tensor]

_SLOPE = 0.2
_RESIDUAL = 0.2


@dataclass(frozen=True)
class Architecture:
    """What enlarges by `factor`, and how it is computed."""

    words: str
    factor: int
    multiple_of: int
    """Sides have to be multiples of this."""
    forward: Callable[[Any, State, Tensor], Tensor]
    """Given torch, the weights and a batch of shape (1, 3, H, W)."""


def recognised(shapes: Shapes) -> Architecture:
    """Return the architecture whose every weight is there in its size, and nothing else.

    Raises
    ------
    BadParameter
        It is none of them; the message quotes the first names seen.
    """
    for candidate, due in (_rrdb(shapes), _compact(shapes)):
        if candidate is not None and dict(due) == dict(shapes):
            return candidate
    some = ", ".join(f"{name!r} {list(shape)}" for name, shape in sorted(shapes.items())[:6])
    raise BadParameter(
        f"These weights are no Real-ESRGAN network that is known here (RRDBNet or "
        f"SRVGGNetCompact): {len(shapes)} tensors, such as {some or 'none'}. Choose another file."
    )


def _rrdb(shapes: Shapes) -> tuple[Architecture | None, Shapes]:
    """Read the widths off the first layers: 23 blocks in x4plus and x2plus, 6 in the anime one."""
    first = shapes.get("conv_first.weight", ())
    grown = shapes.get("body.0.rdb1.conv1.weight", ())
    folds = {3: 1, 12: 2, 48: 4}
    if len(first) != 4 or len(grown) != 4 or first[1] not in folds:
        return None, {}
    width, fold, growth = first[0], folds[first[1]], grown[0]
    blocks = sum(name.endswith(".rdb1.conv1.weight") for name in shapes)
    due = dict(_layer("conv_first", first[1], width))
    for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
        due |= _layer(name, width, width)
    due |= _layer("conv_last", width, 3)
    for block in range(blocks):
        for dense in (1, 2, 3):
            for layer in range(1, 6):
                into = width if layer == 5 else growth
                seen = width + (layer - 1) * growth
                due |= _layer(f"body.{block}.rdb{dense}.conv{layer}", seen, into)

    def forward(torch: Any, state: State, image: Tensor) -> Tensor:
        return _rrdb_forward(torch, state, image, blocks, fold)

    return Architecture(f"RRDBNet of {blocks} blocks", 4 // fold, fold, forward), due


def _rrdb_forward(torch: Any, state: State, image: Tensor, blocks: int, fold: int) -> Tensor:
    functional = torch.nn.functional
    if fold > 1:
        image = functional.pixel_unshuffle(image, fold)
    shallow = _conv(torch, state, "conv_first", image)
    deep = shallow
    for block in range(blocks):
        inner = deep
        for dense in (1, 2, 3):
            inner = _dense(torch, state, f"body.{block}.rdb{dense}", inner)
        deep = inner * _RESIDUAL + deep
    deep = shallow + _conv(torch, state, "conv_body", deep)
    for name in ("conv_up1", "conv_up2"):
        doubled = functional.interpolate(deep, scale_factor=2, mode="nearest")
        deep = functional.leaky_relu(_conv(torch, state, name, doubled), _SLOPE)
    deep = functional.leaky_relu(_conv(torch, state, "conv_hr", deep), _SLOPE)
    return _conv(torch, state, "conv_last", deep)


def _dense(torch: Any, state: State, name: str, image: Tensor) -> Tensor:
    """Five layers, each of which sees the outputs of all before it."""
    seen = [image]
    for layer in range(1, 5):
        made = _conv(torch, state, f"{name}.conv{layer}", torch.cat(seen, 1))
        seen.append(torch.nn.functional.leaky_relu(made, _SLOPE))
    last = _conv(torch, state, f"{name}.conv5", torch.cat(seen, 1))
    return last * _RESIDUAL + image


def _compact(shapes: Shapes) -> tuple[Architecture | None, Shapes]:
    """Layers at the picture's own size, then one shuffle: a correction to the enlarged input."""
    layers = sum(len(shape) == 4 for shape in shapes.values())
    first = shapes.get("body.0.weight", ())
    last = shapes.get(f"body.{2 * (layers - 1)}.weight", ())
    factors = {3 * factor**2: factor for factor in (1, 2, 3, 4)}
    if layers < 2 or len(first) != 4 or len(last) != 4 or last[0] not in factors:
        return None, {}
    width, factor = first[0], factors[last[0]]
    due: dict[str, Shape] = {}
    for layer in range(layers):
        seen = 3 if layer == 0 else width
        into = last[0] if layer == layers - 1 else width
        due |= _layer(f"body.{2 * layer}", seen, into)
        if layer < layers - 1:
            due[f"body.{2 * layer + 1}.weight"] = (width,)

    def forward(torch: Any, state: State, image: Tensor) -> Tensor:
        return _compact_forward(torch, state, image, layers, factor)

    return Architecture(f"SRVGGNetCompact of {layers} layers", factor, 1, forward), due


def _compact_forward(torch: Any, state: State, image: Tensor, layers: int, factor: int) -> Tensor:
    functional = torch.nn.functional
    made = image
    for layer in range(layers):
        made = _conv(torch, state, f"body.{2 * layer}", made)
        if layer < layers - 1:
            made = functional.prelu(made, state[f"body.{2 * layer + 1}.weight"])
    grown = functional.interpolate(image, scale_factor=factor, mode="nearest")
    return functional.pixel_shuffle(made, factor) + grown


def _layer(name: str, seen: int, into: int) -> dict[str, Shape]:
    return {f"{name}.weight": (into, seen, 3, 3), f"{name}.bias": (into,)}


def _conv(torch: Any, state: State, name: str, image: Tensor) -> Tensor:
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    return torch.nn.functional.conv2d(image, weight, bias, padding=1)
