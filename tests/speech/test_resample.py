"""WAV files are read as they are, and brought to another sample rate without folding back."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from maquette.core.errors import BadParameter
from maquette.speech import wav
from maquette.speech.resample import Samples, resample
from maquette.testing.standin_audio import tone

RNG = np.random.default_rng(5)
RATES = [8_000, 11_025, 22_050, 24_000, 44_100, 48_000, 96_000]


def sine(hertz: float, rate: int, seconds: float = 0.5) -> Samples:
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate).astype(np.float32)


def level_db(samples: Samples) -> float:
    """Return the level of the middle, against a full sine."""
    middle = samples[len(samples) // 4 : -len(samples) // 4].astype(float)
    return float(10 * np.log10(np.mean(middle**2) * 2 + 1e-12))


def file_of(
    samples: bytes, *, tag: int = 1, channels: int = 1, rate: int = 16_000, bits: int = 16
) -> bytes:
    width = channels * bits // 8
    head = struct.pack("<HHIIHH", tag, channels, rate, rate * width, width, bits)
    chunks = b"fmt " + struct.pack("<I", len(head)) + head
    chunks += b"LIST" + struct.pack("<I", 3) + b"odd\x00"
    chunks += b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("hertz", [120.0, 1000.0, 3300.0])
def test_a_tone_that_both_rates_can_hold_keeps_its_shape(rate: int, hertz: float) -> None:
    given = resample(sine(hertz, rate), rate, 16_000)
    wanted = sine(hertz, 16_000)
    inside = slice(800, -800)
    assert len(given) == len(wanted)
    assert float(np.abs(given[inside] - wanted[inside]).max()) < 2e-3


@pytest.mark.parametrize("rate", [22_050, 24_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("above", [1.02, 1.15, 1.3])
def test_a_tone_above_the_new_range_is_gone_instead_of_folded_back(rate: int, above: float) -> None:
    hertz = 8000 * above
    assert level_db(sine(hertz, rate)) == pytest.approx(0, abs=0.1)
    assert level_db(resample(sine(hertz, rate), rate, 16_000)) < -60


@pytest.mark.parametrize("rate", [8_000, 11_025])
def test_raising_the_rate_makes_no_mirror_image(rate: int) -> None:
    raised = resample(sine(1000, rate), rate, 16_000)
    spectrum = np.abs(np.fft.rfft(raised * np.hanning(len(raised))))
    hertz = np.fft.rfftfreq(len(raised), 1 / 16_000)
    assert spectrum[hertz > 1500].max() < spectrum.max() * 1e-3


def test_the_input_is_left_as_it_was() -> None:
    given = RNG.normal(0, 0.1, 1000).astype(np.float32)
    before = given.copy()
    resample(given, 44_100, 16_000)
    same = resample(given, 16_000, 16_000)
    assert np.array_equal(given, before) and np.array_equal(same, before) and same is not given


@pytest.mark.parametrize("count", [0, 1, 2, 7, 441])
def test_the_shortest_recordings_have_the_length_they_should(count: int) -> None:
    given = np.ones(count, np.float32)
    assert len(resample(given, 44_100, 16_000)) == -(-count * 160 // 441)


def test_a_rate_that_shares_nothing_with_the_other_works() -> None:
    assert level_db(resample(sine(1000, 44_101), 44_101, 16_000)) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(
    ("bits", "tag", "kind", "scale", "step"),
    [
        (8, 1, np.uint8, 127, 0.016),
        (16, 1, np.int16, 32767, 1e-4),
        (32, 1, np.int32, 2**31 - 65, 1e-6),
        (32, 3, np.float32, 1, 1e-6),
        (64, 3, np.float64, 1, 1e-6),
    ],
)
def test_every_plain_form_of_samples_is_read(
    bits: int, tag: int, kind: type[np.generic], scale: int, step: float
) -> None:
    wanted = sine(440, 16_000, 0.1) * np.float32(0.9)
    values = (wanted.astype(np.float64) * scale + (128 if bits == 8 else 0)).astype(kind)
    read = wav.read(file_of(values.tobytes(), tag=tag, bits=bits))
    assert float(np.abs(wav.mono(read) - wanted).max()) < step


def test_24_bits_are_read() -> None:
    values = b"".join(one.to_bytes(3, "little", signed=True) for one in (0, 2**22, -(2**23)))
    read = wav.mono(wav.read(file_of(values, bits=24)))
    assert read.tolist() == [0.0, 0.5, -1.0]


def test_channels_are_mixed_evenly() -> None:
    pairs = np.array([[8192, 0], [0, -16384]], np.int16)
    assert wav.mono(wav.read(file_of(pairs.tobytes(), channels=2))).tolist() == [0.125, -0.25]


def test_samples_that_are_no_numbers_become_silence() -> None:
    values = np.array([np.nan, np.inf, -np.inf, 7.0], np.float32)
    mixed = wav.mono(wav.read(file_of(values.tobytes(), tag=3, bits=32)))
    assert mixed.tolist() == [0.0, 1.0, -1.0, 1.0]


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000])
def test_a_length_that_a_stream_could_not_know_is_what_is_there(size: int) -> None:
    whole = tone(0.5)
    place = whole.index(b"data") + 4
    streamed = whole[:place] + struct.pack("<I", size) + whole[place + 4 :]
    assert wav.read(streamed).data == wav.read(whole).data


def test_writing_and_reading_returns_the_same() -> None:
    samples = (RNG.normal(0, 3000, 500)).astype("<i2").tobytes()
    read = wav.read(wav.write(samples, 22_050))
    assert (read.data, read.sample_rate_hz, read.channels, read.bits) == (samples, 22_050, 1, 16)


GOOD = file_of(b"\x01\x00" * 100)


@pytest.mark.parametrize(
    "damaged",
    [
        GOOD[:20],
        GOOD[:12],
        b"RIFF\x00\x00\x00\x00WAVEdata\x04\x00\x00\x00\x00\x00\x00\x00",
        file_of(b"", tag=2),
        file_of(b"", tag=6, bits=8),
        file_of(b"", bits=12),
        file_of(b"", channels=0),
        file_of(b"", channels=900),
        file_of(b"", rate=0),
        file_of(b"", rate=2_000_000_000),
        b"RIFF" + b"\xff" * 500,
    ],
)
def test_a_damaged_or_packed_file_is_refused_with_advice(damaged: bytes) -> None:
    with pytest.raises(BadParameter, match="16000 Hz"):
        wav.read(damaged)


def test_half_a_frame_at_the_end_is_left_out() -> None:
    assert wav.read(file_of(b"\x01\x00\x02")).frames == 1


def test_cutting_a_file_anywhere_reads_less_or_says_so() -> None:
    for cut in range(len(GOOD)):
        try:
            assert wav.read(GOOD[:cut]).frames <= 100
        except BadParameter:
            continue
