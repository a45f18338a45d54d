"""The parts of this room, made for one set of keys."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import SecretStr

from maquette.core.language import Compute, Words
from maquette.core.wire import WireRules
from maquette.language import analyser, chat, describer, expander, writer
from maquette.language.config import LanguageConfig


def made(
    config: LanguageConfig,
    rules: WireRules,
    compute: Compute,
    get_key: Callable[[str], SecretStr],
) -> Words:
    """Make who writes, describes and chats; without a model the first two are embedded."""
    templates, embedded = expander.TemplateWriter(), analyser.EmbeddedDescriber(compute)
    if not config.model:
        return Words(templates, embedded, templates, embedded)
    model = chat.CompatibleChat(config, rules, get_key)
    sees = describer.ModelPictureDescriber(model, compute) if config.vision else embedded
    return Words(writer.ModelPromptWriter(model), sees, templates, embedded, model)
