"""Access tokens and the proof against cross-site requests, signed with one key."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import jwt

from maquette.core.errors import BadParameter, StorageDamaged
from maquette.core.people import Scope
from maquette.disk import explained, moved, sync_folder

_BYTES = 32
_ISSUER = "maquette"


@dataclass(frozen=True)
class Claims:
    """What an access token says of who shows it."""

    user_id: str
    epoch: int
    scopes: frozenset[Scope]


@dataclass(frozen=True)
class Tokens:
    """Signs what this installation hands out, and knows it again."""

    key: bytes = field(default_factory=lambda: secrets.token_bytes(_BYTES), repr=False)

    def access(
        self, user_id: str, epoch: int, scopes: Iterable[Scope], until: datetime, at: datetime
    ) -> str:
        """Write an access token; whatever raises the person's epoch ends it."""
        claims: dict[str, Any] = {
            "iss": _ISSUER,
            "sub": user_id,
            "epoch": epoch,
            "scopes": sorted(scopes),
            "iat": at,
            "exp": until,
        }
        return jwt.encode(claims, self._derived("access"), algorithm="HS256")

    def read(self, token: str) -> Claims | None:
        """Return what a token of ours says; None where it is not, or is over."""
        try:
            claims = jwt.decode(
                token,
                self._derived("access"),
                algorithms=["HS256"],
                issuer=_ISSUER,
                options={"require": ["sub", "exp", "iat"]},
                leeway=timedelta(0),
            )
            scopes = frozenset(Scope(one) for one in claims["scopes"])
            return Claims(claims["sub"], int(claims["epoch"]), scopes)
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
            return None

    def csrf(self, session: str) -> str:
        """Return what a page must show besides a session's cookie; nothing of it is stored."""
        return hmac.new(self._derived("csrf"), session.encode(), hashlib.sha256).hexdigest()

    def is_csrf(self, shown: str, session: str) -> bool:
        return hmac.compare_digest(shown.encode(), self.csrf(session).encode())

    def _derived(self, purpose: Literal["access", "csrf"]) -> bytes:
        """Give each purpose a key of its own."""
        return hmac.digest(self.key, purpose.encode(), "sha256")


def from_text(text: str) -> Tokens:
    """Read a key that was given as base64."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < _BYTES:
        raise BadParameter(
            f"MAQUETTE_TOKEN_KEY is not the base64 of at least {_BYTES} random bytes; "
            f"`openssl rand -base64 {_BYTES}` writes such a text."
        )
    return Tokens(key)


def kept_at(path: Path) -> Tokens:
    """Read the key file, made on first use; of two that make it at once one wins."""
    with explained(path):
        if not path.exists():
            _make(path)
        key = path.read_bytes()
    if len(key) != _BYTES:
        raise StorageDamaged(
            f"{str(path)!r} is not the {_BYTES} bytes that were written there. Delete it: the "
            "next start makes a new one, and everybody signs in again."
        )
    return Tokens(key)


def _make(path: Path) -> None:
    temporary = path.with_name(f"{path.name}.{uuid4().hex}.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
            file.flush()
            os.fsync(file.fileno())
        moved(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
