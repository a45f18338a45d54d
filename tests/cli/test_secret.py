"""`maquette secret`: values are asked for without an echo, and are never printed."""

from __future__ import annotations

import io
import sys

import pytest
import typer
from tests.cli.conftest import Workplace
from tests.cli.rows_secret import VALUE, with_input


class Terminal(io.StringIO):
    """A standard input where somebody sits."""

    def isatty(self) -> bool:
        return True


def test_a_person_is_asked_without_an_echo(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def prompt(_words: str, *, hide_input: bool, err: bool) -> str:
        asked.append(hide_input and err)
        return VALUE

    place("project", "create", "keeper")
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(typer, "prompt", prompt)
    said = place("secret", "set", "keeper", "openai", "api_key")
    assert (said.status, asked) == (0, [True])
    assert "…k3Qz" in said.out
    assert VALUE not in said.out + said.err


def test_where_nobody_sits_it_says_how_to_send_it(place: Workplace) -> None:
    said = with_input("secret set keeper openai api_key --json")(place)
    assert said.status == 2
    assert "--stdin" in said.error["message"]


def test_a_value_on_the_command_line_is_taken_with_a_warning(place: Workplace) -> None:
    """LAB-21: `--secret-value` is accepted with a warning."""
    words = f"secret set keeper openai api_key --secret-value {VALUE}"
    said = with_input(words)(place)
    assert said.status == 0
    assert "can see --secret-value" in " ".join(said.err.split())
    assert VALUE not in said.out + said.err
    both = with_input(f"{words} --stdin --json")(place)
    assert both.status == 2
    assert VALUE not in both.err


def test_the_white_space_of_a_pasted_key_is_dropped(place: Workplace) -> None:
    said = with_input("secret set keeper openai api_key --stdin --json", f"  {VALUE}\r\n")(place)
    assert said.json["masked"] == "…k3Qz"
    listed = place("secret", "list", "keeper", "--json").json
    assert [one["environment_name"] for one in listed] == ["OPENAI_API_KEY"]


def test_a_secret_that_is_not_there_cannot_be_deleted(place: Workplace) -> None:
    place("project", "create", "keeper")
    said = place("secret", "delete", "keeper", "openai", "api_key")
    assert said.status == 2
    assert "maquette secret list" in said.err


def test_a_wrong_new_master_key_is_refused_and_not_repeated(place: Workplace) -> None:
    said = with_input("secret rotate-key --new-key-stdin --json", "hunter2")(place)
    assert said.status == 2
    assert said.error["code"] == "secrets-locked"
    assert "hunter2" not in said.err
