"""Neural networks of a few numbers, written by hand: they keep what is bright."""

from __future__ import annotations

import struct
from collections.abc import Sequence


def brightness_network(
    side_px: int, weights: Sequence[float], bias: float, *, sigmoid: bool
) -> bytes:
    """Write an ONNX network: one 1x1 convolution, and a sigmoid where the kind of model has one."""
    steps = [_step("Conv", ("in", "w", "b"), "sum" if sigmoid else "out")]
    if sigmoid:
        steps.append(_step("Sigmoid", ("sum",), "out"))
    graph = _message(
        *[(1, one) for one in steps],
        (2, "brightness"),
        (5, _tensor("w", (1, 3, 1, 1), weights)),
        (5, _tensor("b", (1,), (bias,))),
        (11, _port("in", 1, 3, side_px, side_px)),
        (12, _port("out", 1, 1, side_px, side_px)),
    )
    return _message((1, 8), (7, graph), (8, _message((1, ""), (2, 13))))


def sam_encoder(side_px: int, weights: Sequence[float], bias: float) -> bytes:
    """Write what looks at a picture as Segment Anything's encoder does: a quarter as large."""
    small = side_px // 4
    graph = _message(
        (1, _step("Conv", ("x", "w", "b"), "image_embeddings", strides=(4, 4))),
        (2, "encoder"),
        (5, _tensor("w", (1, 3, 1, 1), weights)),
        (5, _tensor("b", (1,), (bias,))),
        (11, _port("x", 1, 3, side_px, side_px)),
        (12, _port("image_embeddings", 1, 1, small, small)),
    )
    return _message((1, 8), (7, graph), (8, _message((1, ""), (2, 13))))


def sam_decoder(small_px: int) -> bytes:
    """Write what answers as Segment Anything's decoder: brightness times the greatest coordinate.

    The overlap that it expects is the mean of the labels.
    """
    graph = _message(
        (1, _step("ReduceMax", ("point_coords",), "reach", axes=(0, 1, 2), keepdims=0)),
        (1, _step("Mul", ("image_embeddings", "reach"), "low_res_masks")),
        (1, _step("ReduceMean", ("point_labels",), "iou_predictions", axes=(1,), keepdims=1)),
        (2, "decoder"),
        (11, _port("image_embeddings", 1, 1, small_px, small_px)),
        (11, _port("point_coords", 1, 0, 2)),
        (11, _port("point_labels", 1, 0)),
        (11, _port("mask_input", 1, 1, small_px, small_px)),
        (11, _port("has_mask_input", 1)),
        (11, _port("orig_im_size", 2)),
        (12, _port("iou_predictions", 1, 1)),
        (12, _port("low_res_masks", 1, 1, small_px, small_px)),
    )
    return _message((1, 8), (7, graph), (8, _message((1, ""), (2, 13))))


def _message(*fields: tuple[int, int | bytes | str]) -> bytes:
    """Write a protocol buffer: numbers as varints, everything else by its length."""
    made = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            made += _varint(number << 3) + _varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            made += _varint(number << 3 | 2) + _varint(len(data)) + data
    return bytes(made)


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])


def _tensor(name: str, shape: Sequence[int], values: Sequence[float]) -> bytes:
    dims = [(1, size) for size in shape]
    return _message(*dims, (2, 1), (8, name), (9, struct.pack(f"<{len(values)}f", *values)))


def _port(name: str, *shape: int) -> bytes:
    """Name an input or output; a size of 0 may be any."""
    dims = b"".join(_message((1, _message((1, size)) if size else b"")) for size in shape)
    return _message((1, name), (2, _message((1, _message((1, 1), (2, dims))))))


def _step(kind: str, given: Sequence[str], made: str, **attributes: int | tuple[int, ...]) -> bytes:
    told = [(5, _attribute(name, value)) for name, value in attributes.items()]
    return _message(*[(1, one) for one in given], (2, made), (4, kind), *told)


def _attribute(name: str, value: int | tuple[int, ...]) -> bytes:
    if isinstance(value, int):
        return _message((1, name), (3, value), (20, 2))
    return _message((1, name), *[(8, one) for one in value], (20, 7))
