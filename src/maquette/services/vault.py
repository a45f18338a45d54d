"""The master key, and what it seals: AES-256-GCM, each secret bound to its own row."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from filelock import FileLock
from pydantic import SecretStr

from maquette.core.errors import SecretsLocked
from maquette.disk import explained, sync_folder, write_durably

_KEY_BYTES = 32
_NONCE_BYTES = 12
_MAKE = "`openssl rand -base64 32` makes one"


@dataclass(frozen=True)
class MasterKey:
    """32 bytes that seal an installation's secrets, and the id that the rows know them by."""

    data: bytes = field(repr=False)

    @property
    def id(self) -> str:
        return hashlib.sha256(self.data).hexdigest()[:16]

    @property
    def text(self) -> str:
        return base64.b64encode(self.data).decode()

    @classmethod
    def fresh(cls) -> Self:
        return cls(os.urandom(_KEY_BYTES))

    @classmethod
    def parse(cls, text: str, where: str) -> Self:
        """Read base64 or hex; a wrong text is never repeated."""
        word = "".join(text.split())
        data = b""
        try:
            if len(word) == 2 * _KEY_BYTES:
                data = bytes.fromhex(word)
            else:
                plain = word.replace("-", "+").replace("_", "/").rstrip("=")
                data = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        except (ValueError, binascii.Error):
            data = b""
        if len(data) != _KEY_BYTES:
            raise SecretsLocked(
                f"{where} is no master key: it must be 32 bytes in base64 or hex. {_MAKE}."
            )
        return cls(data)


@dataclass(frozen=True)
class Place:
    """The row that a secret lies in; sealed bytes open in no other."""

    project_id: str
    provider: str
    name: str

    @property
    def bound(self) -> bytes:
        return json.dumps(["maquette", self.project_id, self.provider, self.name]).encode()


@dataclass(frozen=True)
class Sealed:
    """A secret as the database has it."""

    data: bytes
    key_id: str


def sealed(key: MasterKey, place: Place, value: SecretStr) -> Sealed:
    """Seal a secret under a nonce of its own."""
    nonce = os.urandom(_NONCE_BYTES)
    data = AESGCM(key.data).encrypt(nonce, value.get_secret_value().encode(), place.bound)
    return Sealed(nonce + data, key.id)


@dataclass(frozen=True)
class Vault:
    """Finds the master key: a text that was given, else a file that was named, else the home's.

    What was sealed is opened with any key that lies in these places, the replaced ones too.
    Files are read anew each time: another process may have rotated the key.
    """

    home: Path
    named: Path | None = None
    given: SecretStr | None = None

    @property
    def file(self) -> Path:
        return self.named or self.home / "master.key"

    @property
    def is_given(self) -> bool:
        return self.given is not None

    def lock(self) -> FileLock:
        """Return the lock of whoever makes or replaces the home's or the named file."""
        return FileLock(self.file.with_name(f"{self.file.name}.lock"))

    def current(self, used: Collection[str] = ()) -> MasterKey:
        """Return the key that new secrets are sealed with; the home's is made on first use.

        `used` are the ids in the rows: a successor among them is the key already.
        """
        if self.given is not None:
            return MasterKey.parse(self.given.get_secret_value(), "MAQUETTE_MASTER_KEY")
        successor = self.successor()
        if successor is not None and successor.id in used:
            return successor
        if self.named is not None and not self.named.exists():
            raise SecretsLocked(
                f"The file of the master key {str(self.named)!r} does not exist. Put the key "
                f"there ({_MAKE}), for its owner alone: `chmod 600`."
            )
        if not self.file.exists():
            self._make()
        return _read(self.file)

    def key(self, key_id: str) -> MasterKey:
        """Return the key of that id; raise `SecretsLocked` where it is in none of the places."""
        for key in self._known():
            if key.id == key_id:
                return key
        raise SecretsLocked(
            f"It was sealed with the master key {key_id}, which is not here. Give that key back "
            f"(MAQUETTE_MASTER_KEY, or the file {str(self.file)!r}), or set the secret again.",
            key_id=key_id,
        )

    def open(self, place: Place, found: Sealed) -> SecretStr:
        """Open a secret; raise `SecretsLocked` that says which key is needed."""
        what = f"The secret {place.provider}/{place.name} cannot be opened."
        try:
            key = self.key(found.key_id)
        except SecretsLocked as error:
            raise SecretsLocked(f"{what} {error}", **error.facts) from None
        nonce, data = found.data[:_NONCE_BYTES], found.data[_NONCE_BYTES:]
        try:
            return SecretStr(AESGCM(key.data).decrypt(nonce, data, place.bound).decode())
        except (InvalidTag, ValueError):
            raise SecretsLocked(
                f"{what} Its row was changed, or is not its own. Set it again."
            ) from None

    def successor(self) -> MasterKey | None:
        """Return the key that a rotation has written beside the present one."""
        return _read(self._next) if self._next.exists() else None

    def write_successor(self, key: MasterKey) -> None:
        _write(self._next, key)

    def drop_successor(self) -> None:
        self._next.unlink(missing_ok=True)

    def install_successor(self) -> Path:
        """Let the successor take the present key's place, which is kept; return where."""
        key = _read(self.file)
        kept = self.file.with_name(f"{self.file.name}.old-{key.id}")
        if not kept.exists():
            _write(kept, key)
        with explained(self.file):
            self._next.replace(self.file)
            sync_folder(self.file.parent)
        return kept

    @property
    def _next(self) -> Path:
        return self.file.with_name(f"{self.file.name}.next")

    def _make(self) -> None:
        with self.lock():
            if not self.file.exists():
                _write(self.file, MasterKey.fresh())

    def _known(self) -> Iterator[MasterKey]:
        yield self.current()
        for base in dict.fromkeys((self.file, self.home / "master.key")):
            for path in (base, *sorted(base.parent.glob(f"{base.name}.*"))):
                if path == base or path.name.startswith((f"{base.name}.old-", f"{base.name}.next")):
                    try:
                        yield _read(path)
                    except SecretsLocked:  # not the one that counts
                        continue


def _write(path: Path, key: MasterKey) -> None:
    write_durably(path, f"{key.text}\n".encode(), scratch=path.parent, mode=0o600)


def _read(path: Path) -> MasterKey:
    """Read a key file that nobody else can read."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(1024)
    except OSError as error:
        raise SecretsLocked(
            f"The file of the master key {str(path)!r} cannot be read ({error.strerror}). "
            "Make it readable for who runs Maquette."
        ) from None
    if os.name == "posix" and mode & 0o077:
        raise SecretsLocked(
            f"Others can read the master key {str(path)!r} (mode {mode:04o}). "
            f"`chmod 600 {path}`, and if it may have been read, `maquette secret rotate-key`."
        )
    return MasterKey.parse(text.decode(errors="replace"), f"The file {str(path)!r}")
