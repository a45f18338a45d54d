"""What the embedded voice and ear need, as data."""

from __future__ import annotations

from maquette.core.tools import Tool

TOOL = Tool(
    name="voice",
    purpose="Speaks texts and understands spoken commands on this machine, without a key.",
    licence=(
        "espeak-ng, inside espeakng-loader: GPL-3.0-or-later, no part of Maquette and fetched only "
        "when you ask for it; PocketSphinx and its English model: BSD-2-Clause"
    ),
    size="39 MB to fetch, 60 MB installed",
    source="https://github.com/espeak-ng/espeak-ng, https://github.com/cmusphinx/pocketsphinx",
    extra="voice",
)
