"""LAB-21: the flags of `maquette secret`, and the older verbs of everything beside it."""

from __future__ import annotations

import base64
import io
import shlex
import sys
from collections.abc import Iterator

import pytest
from tests.cli.conftest import Said, Workplace
from tests.cli.rows import Doing, Row, Shows, is_json, works

VALUE = "sk-of-the-table-k3Qz"
_SET = "secret set keeper openai api_key --json"


def _made(place: Workplace) -> None:
    """Make the project that keeps secrets, once."""
    made = place.once("keeper", lambda: place("project", "create", "keeper"))
    assert made.status == 0, made.err


def with_input(words: str, text: str = VALUE) -> Doing:
    """Run a command line that reads `text`, in a place with the project `keeper`."""

    def work(place: Workplace) -> Said:
        _made(place)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", io.StringIO(text))
            return place(*shlex.split(words))

    return lambda place: place.once((words, text), lambda: work(place))


def _listed(words: str) -> Doing:
    """Run a command line after a secret was kept."""

    def work(place: Workplace) -> Said:
        assert with_input(f"{_SET} --stdin")(place).status == 0
        return place(*shlex.split(words))

    return lambda place: place.once(words, lambda: work(place))


def _masked(said: Said) -> bool:
    return said.status == 0 and said.json["masked"] == "…k3Qz"


def _rows() -> Iterator[Row]:
    asked = with_input(_SET)
    yield Row("secret set", "--stdin", with_input(f"{_SET} --stdin"), asked, _masked)
    shown = with_input(f"{_SET} --secret-value {VALUE}")
    yield Row("secret set", "--secret-value", shown, asked, _masked)
    silent = with_input(f"{_SET} --stdin".replace(" --json", ""))
    yield Row("secret set", "--json", with_input(f"{_SET} --stdin"), silent, is_json)
    listed = "secret list keeper --json"
    without = _listed(listed.replace(" --json", ""))
    yield Row("secret list", "--json", _listed(listed), without, is_json)
    rotate = "secret rotate-key --json"
    spoken = _listed(rotate.replace(" --json", ""))
    yield Row("secret rotate-key", "--json", _listed(rotate), spoken, is_json)
    key = base64.b64encode(bytes(range(32))).decode()
    yield Row(
        "secret rotate-key",
        "--new-key-stdin",
        with_input(f"{rotate} --new-key-stdin", key),
        _listed(rotate),
        lambda said: said.status == 0 and said.json["key_id"] == "630dcd2966c43366",
    )


def _alias_rows() -> Iterator[Row]:
    """Each verb fails without any of its flags, or does something else."""
    create = 'create-project --name "Eugenia Prod" --slug eugenia_prod'
    yield from _needed(create, "--slug", "--name")
    yield from _needed(
        "set-project-storage-local --project-slug keeper --project-root kept",
        "--project-slug",
        "--project-root",
    )
    mirror = (
        "set-project-storage-s3 --project-slug keeper --enabled false --bucket my-art-bucket "
        "--prefix iat-prod --region us-west-2"
    )
    shows: dict[str, Shows] = {
        "--enabled": lambda said: said.json["mirror"]["enabled"] is False,
        "--bucket": lambda said: said.json["mirror"]["bucket"] == "my-art-bucket",
        "--prefix": lambda said: said.json["mirror"]["prefix"] == "iat-prod",
        "--region": lambda said: said.json["mirror"]["region"] == "us-west-2",
        "--project-slug": works,
    }
    for flag, seen in shows.items():
        yield Row(
            "set-project-storage-s3",
            flag,
            _in_new(mirror),
            _in_new(without(mirror, flag)),
            _if_works(seen),
        )
    yield Row(
        "sync-project-s3",
        "--project-slug",
        _in_new("sync-project-s3 --project-slug keeper"),
        _in_new("sync-project-s3"),
        lambda said: said.status == 2 and "mirror" in said.err,
    )
    yield from _needed(
        "export-project --project-slug keeper --output kept.tar.gz", "--project-slug", "--output"
    )
    secret = (
        "set-project-secret --project-slug keeper --provider-code openai --secret-name api_key "
        f"--secret-value {VALUE}"
    )
    names = ("--project-slug", "--provider-code", "--secret-name", "--secret-value")
    yield from _needed(secret, *names)
    yield from _needed("list-project-secrets --project-slug keeper", "--project-slug")


def without(words: str, flag: str) -> str:
    """Take a flag and its value out of a command line."""
    parts = shlex.split(words)
    at = parts.index(flag)
    return shlex.join(parts[:at] + parts[at + 2 :])


def _needed(words: str, *flags: str) -> Iterator[Row]:
    for flag in flags:
        command = words.partition(" ")[0]
        yield Row(command, flag, _in_new(words), _in_new(without(words, flag)), works)


def _in_new(words: str) -> Doing:
    """Run a command line in a place of its own that has a project `keeper` with a root."""

    def work(place: Workplace) -> Said:
        new = Workplace(place.fresh_root())
        made = new("project", "create", "keeper", "--root", "root")
        assert made.status == 0, made.err
        return new(*shlex.split(words))

    return lambda place: place.once(("new", words), lambda: work(place))


def _if_works(shows: Shows) -> Shows:
    return lambda said: said.status == 0 and shows(said)


ROWS = (*_rows(), *_alias_rows())
