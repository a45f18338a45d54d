"""A neural network of four numbers, written by hand: it keeps what is bright."""

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
    dims = b"".join(_message((1, _message((1, size)))) for size in shape)
    return _message((1, name), (2, _message((1, _message((1, 1), (2, dims))))))


def _step(kind: str, given: Sequence[str], made: str) -> bytes:
    return _message(*[(1, one) for one in given], (2, made), (4, kind))
