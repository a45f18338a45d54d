"""The only place where objects meet."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr, ValidationError

from maquette.core.clock import Clock
from maquette.core.errors import BadParameter, CapabilityMissing, SecretsLocked
from maquette.core.language import Words
from maquette.core.operation import Operation
from maquette.core.provider import Provider
from maquette.core.registry import Registry
from maquette.core.speech import Voices
from maquette.core.storage import Storage, Surroundings
from maquette.core.tools import Tool
from maquette.core.wire import WireRules
from maquette.db import migrate
from maquette.db.engine import Database
from maquette.disk import explained
from maquette.folders import Folders
from maquette.jobs.engine import Engine
from maquette.jobs.keys import Keys
from maquette.jobs.workers import PixelPool
from maquette.jobs.workshop import Retries, Workshop
from maquette.services import models, places, secrets
from maquette.services.health import Check
from maquette.services.studio import Agent, GetKey, Studio
from maquette.services.vault import Vault
from maquette.settings import Settings, secret

if TYPE_CHECKING:
    from maquette.language.config import LanguageConfig
    from maquette.services.tokens import Tokens


def registries(
    settings: Settings,
) -> tuple[Registry[type[Provider]], Registry[Operation[Any]], Registry[type[Storage]]]:
    """Discover what plugins offer; nothing is imported before it is asked for.

    `MAQUETTE_PLUGINS` limits the providers: operations and storages cost nothing unasked.
    """
    only = (
        None if settings.plugins is None else {one.strip() for one in settings.plugins.split(",")}
    )
    providers: Registry[type[Provider]] = Registry("provider")
    operations: Registry[Operation[Any]] = Registry("operation")
    storages: Registry[type[Storage]] = Registry("storage")
    providers.discover("maquette.providers", only)
    operations.discover("maquette.operations")
    storages.discover("maquette.storage")
    return providers, operations, storages


@asynccontextmanager
async def open_studio(
    settings: Settings, *, providers: Mapping[str, Provider] | None = None
) -> AsyncGenerator[Studio]:
    """Open an installation, creating its database on first use; close it again."""
    await asyncio.to_thread(prepare_database, settings)
    _, operations, storages = registries(settings)
    ready = ready_providers(settings)
    ready.add(providers or {})
    db = Database(settings.url)
    pool = _pool(settings)
    vault = _vault(settings)
    shop = Workshop(
        db=db,
        clock=Clock(settings.zone),
        providers=ready,
        operations=operations,
        pool=pool,
        open_storage=_storage(settings, storages[settings.storage], db),
        open_folders=lambda root: Folders(root, settings.show_files),
        keys=secrets.Ring(db, vault, ready, key),
        weights=settings.weights_folder,
        rescue=settings.home / "rescued",
        retries=Retries(**settings.retries.model_dump()),
        parallel_jobs=settings.parallel_jobs,
    )
    studio = Studio(
        shop,
        settings.home,
        lambda: _engine(settings),
        vault,
        Keys(key),
        words=lambda get_key: _words(settings, pool, get_key),
        voices=lambda get_key: _voices(settings, pool, get_key),
        wire=wire_rules(settings),
        guest_wire=replace(wire_rules(settings), loopback=settings.server.auth == "single"),
        agent=_agent(settings),
        trash_days=settings.server.trash_days,
        alert_url=settings.alert_url,
        credits=settings.credits,
        roles=settings.roles,
    )
    try:
        yield studio
    finally:
        await studio.errands.all_done()
        for name in ready:
            await ready[name].aclose()
        await pool.close()
        await db.close()


def _storage(settings: Settings, kind: type[Storage], db: Database) -> Callable[[Path], Storage]:
    """Return what opens a project's store; one that needs settings gets its section, checked."""
    if kind.config is None:
        return kind
    config = _section(kind.config, settings.s3, kind.id)
    owner = partial(places.owner_of, db)
    return kind.opener(config, Surroundings(wire_rules(settings), key, owner))


def ready_providers(settings: Settings) -> Registry[Provider]:
    """Make every provider, and tell each what was learnt of its models before."""
    kinds, _, _ = registries(settings)
    loaded = {name: kind for name in list(kinds) if (kind := kinds.get(name)) is not None}
    ready: Registry[Provider] = Registry("provider")
    ready.broken.update(kinds.broken)
    learnt = models.read(settings.home)
    for name, kind in loaded.items():
        try:
            provider = build(settings, kind)
        except BadParameter as error:  # its section is wrong: the others work on
            ready.broken[name] = error
            continue
        if name in learnt:
            provider.learn(learnt[name].models)
        ready.add({name: provider})
    return ready


def other_checks(settings: Settings) -> list[Check]:
    """Tell of the language model and of the voice, which are no plugins."""
    from maquette.language.analyser import in_thread  # noqa: PLC0415 - only the doctor needs it
    from maquette.language.config import LM_STUDIO_URL  # noqa: PLC0415 - as above
    from maquette.speech.embedded_listener import EmbeddedListener  # noqa: PLC0415 - as above
    from maquette.speech.embedded_speaker import EmbeddedSpeaker  # noqa: PLC0415 - as above
    from maquette.speech.tool import TOOL  # noqa: PLC0415 - as above

    config = language_config(settings)
    ready = bool(config.model)
    words = f"{config.model} at {config.base_url}" if ready else "templates and measuring, embedded"
    advice = (
        ""
        if ready
        else (
            f"For a model of your own: start a server such as LM Studio ({LM_STUDIO_URL}) and set "
            "MAQUETTE_LANGUAGE__MODEL and MAQUETTE_LANGUAGE__FREE=true."
        )
    )
    found = [Check("language", ready, words, advice, optional=True)]
    for part in (EmbeddedSpeaker(in_thread), EmbeddedListener(in_thread)):
        name = f"voice {type(part).__name__.removeprefix('Embedded').lower()}"
        lack = part.missing()
        tool = None if lack is None else TOOL
        found.append(Check(name, lack is None, part.title, lack or "", tool, optional=True))
    return found


def other_tools() -> list[Tool]:
    """Return the optional tools that no provider or operation names."""
    from maquette.speech.tool import TOOL  # noqa: PLC0415 - only a list of tools needs it

    return [TOOL]


def wire_rules(settings: Settings) -> WireRules:
    """Say what may be done on the network."""
    net = settings.net
    return WireRules(
        paid_calls=net.paid_calls,
        private_hosts=net.private_hosts,
        connect_timeout_s=net.connect_timeout_s,
        longest_wait_s=net.longest_wait_s,
        most_bytes=net.most_mb * 1024 * 1024,
    )


def build(settings: Settings, kind: type[Provider]) -> Provider:
    """Make a provider from its section of the settings."""
    section = settings.providers.get(kind.id, {})
    config = _section(kind.config, section, "PROVIDERS", kind.id)
    return kind.build(config, wire_rules(settings))


C = TypeVar("C", bound=BaseModel)


def _section(kind: type[C], section: Mapping[str, Any], *path: str) -> C:
    """Check a section of the settings; name a wrong member by the variable that sets it."""
    try:
        config = kind.model_validate({name: _parsed(one) for name, one in section.items()})
    except ValidationError as error:
        first = error.errors()[0]
        name = "__".join(str(part) for part in (*path, *first["loc"])).upper()
        raise BadParameter(f"The setting MAQUETTE_{name} is wrong: {first['msg']}.") from None
    key_name = getattr(config, "key_name", None)
    if key_name is None:
        return config
    # It is told whether its key is set, and gets it only for a call.
    return config.model_copy(update={"has_key": secret(key_name) is not None})


def language_config(settings: Settings) -> LanguageConfig:
    """Check the language model's section."""
    from maquette.language.config import LanguageConfig  # noqa: PLC0415 - only words need it

    return _section(LanguageConfig, settings.language, "LANGUAGE")


@asynccontextmanager
async def open_words(settings: Settings) -> AsyncGenerator[Words]:
    """Open who writes prompts and describes pictures, with the installation's keys."""
    pool = _pool(settings)
    try:
        yield _words(settings, pool, key)
    finally:
        await pool.close()


def _words(settings: Settings, pool: PixelPool, get_key: GetKey) -> Words:
    from maquette.language import parts  # noqa: PLC0415 - half a second that only words need

    config = language_config(settings)
    config = config.model_copy(update={"has_key": _is_set(get_key, config.key_name)})
    return parts.made(config, wire_rules(settings), pool.run, get_key)


def _voices(settings: Settings, pool: PixelPool, get_key: GetKey) -> Voices:
    from maquette.speech import parts  # noqa: PLC0415 - only voices need it
    from maquette.speech.config import SpeechConfig  # noqa: PLC0415 - as above

    config = _section(SpeechConfig, settings.speech, "SPEECH") if settings.speech else None
    if config is not None:
        config = config.model_copy(update={"has_key": _is_set(get_key, config.key_name)})
    return parts.made(config, wire_rules(settings), pool.run, get_key)


def _is_set(get_key: GetKey, name: str | None) -> bool:
    """Say whether there is a key; one that cannot be opened is told of when it is needed."""
    try:
        return name is not None and bool(get_key(name))
    except CapabilityMissing:
        return False
    except SecretsLocked:
        return True


def _pool(settings: Settings) -> PixelPool:
    return PixelPool(
        workers=settings.workers.count,
        timeout_s=settings.workers.timeout_s,
        memory_mb=settings.workers.memory_mb,
    )


def _parsed(value: Any) -> Any:
    """Read a list or table that an environment variable could only hold as JSON text."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        with suppress(ValueError):
            return json.loads(value)
    return value


def open_tokens(settings: Settings) -> Tokens:
    """Return what signs access tokens: `MAQUETTE_TOKEN_KEY` wins, so that servers can share it."""
    from maquette.services import tokens  # noqa: PLC0415 - only a server needs it

    given = secret("MAQUETTE_TOKEN_KEY")
    if given is not None:
        return tokens.from_text(given.get_secret_value())
    return tokens.kept_at(settings.home / "tokens.key")


def prepare_database(settings: Settings) -> None:
    """Create the schema on first use; an older one is upgraded only by `maquette db migrate`."""
    if settings.home.exists() and not settings.home.is_dir():
        raise BadParameter(
            f"MAQUETTE_HOME {str(settings.home)!r} is a file; set it to a folder, which may be new."
        )
    with explained(settings.home):
        settings.home.mkdir(parents=True, exist_ok=True)
    migrate.ensure(settings.url)


def _agent(settings: Settings) -> Agent | None:
    """Return who does dispatched instructions; the seed's names of the settings count too."""
    names = ("MAQUETTE_AGENT_API_{}", "IAT_AGENT_API_{}")
    urls = (settings.agent_url, *(_plain(secret(name.format("URL"))) for name in names))
    url = next((one for one in urls if one), None)
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise BadParameter(
            "The setting MAQUETTE_AGENT_URL is wrong: write an address such as "
            "https://agent.example/instructions, without a user or password in it; the token goes "
            "into MAQUETTE_AGENT_TOKEN."
        )
    tokens = (settings.agent_token, *(secret(name.format("TOKEN")) for name in names))
    return Agent(url, next((one for one in tokens if one), None))


def _plain(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()


def _engine(settings: Settings) -> Engine:
    from maquette.jobs.dbos_engine import DbosEngine  # noqa: PLC0415 - 0.3 s that only runs need

    return DbosEngine(settings.url, settings.home / "engine.db")


def _vault(settings: Settings) -> Vault:
    """Say where the master key is: a text, else a file of that name, else the home's own."""
    text = secret("MAQUETTE_MASTER_KEY") or secret("IAT_MASTER_KEY")
    file = secret("MAQUETTE_MASTER_KEY_FILE") or secret("IAT_MASTER_KEY_FILE")
    named = None if file is None else Path(file.get_secret_value()).expanduser()
    return Vault(settings.home, named, text)


def key(name: str) -> SecretStr:
    """Return a key of the installation; raise `CapabilityMissing` that says how to set it."""
    found = secret(name)
    if found is None:
        raise CapabilityMissing(
            f"The key {name} is not set, so nothing was sent. Put it into the environment or .env, "
            "or give it to the project with `maquette secret set`."
        )
    return found


def open_other_database(path: Path) -> Database:
    """Open the database file of `--backend-db`, creating it where it is missing."""
    url = f"sqlite:///{path.expanduser().absolute()}"
    migrate.ensure(url)
    return Database(url)
