"""WEB-5: the first administrator, and lost passwords, from the command line."""

from __future__ import annotations

import pytest
from tests.cli.conftest import Workplace
from tests.cli.rows_user import PASSWORD, typed


def test_the_first_administrator_is_made_without_a_server(place: Workplace) -> None:
    made = typed(place, "user create ann --role admin --password-stdin")
    assert made.status == 0, made.err
    assert made.out.startswith("ann  admin, enabled\n")
    listed = place("user", "list")
    assert "ann" in listed.out
    assert PASSWORD not in made.out + made.err + listed.out


@pytest.mark.parametrize("change", ["--role viewer", "--disable"])
def test_the_last_administrator_stays(place: Workplace, change: str) -> None:
    typed(place, "user create ann --role admin --password-stdin")
    refused = place("user", "set", "ann", *change.split(), "--json")
    assert (refused.status, refused.error["code"]) == (2, "wrong-state")
    typed(place, "user create bob --role admin --password-stdin")
    assert place("user", "set", "ann", *change.split()).status == 0


@pytest.mark.parametrize(
    ("words", "text", "told"),
    [
        ("user create ann --password-stdin", "short", "10 to 1024 characters"),
        ("user create Ann --password-stdin", PASSWORD, "cannot name a person"),
        ("user create ann --role king --password-stdin", PASSWORD, "admin, creator, viewer"),
        ("user create ann", PASSWORD, "--password-stdin"),
        ("user reset-password ann --password-stdin", PASSWORD, "`maquette user list`"),
        ("user set ann --disable", PASSWORD, "`maquette user list`"),
        ("user keys ann", PASSWORD, "`maquette user list`"),
    ],
)
def test_what_cannot_be_done_says_what_to_do(
    place: Workplace, words: str, text: str, told: str
) -> None:
    said = typed(place, words, text)
    assert said.status == 2
    assert told in " ".join(said.err.split())


@pytest.mark.parametrize("amount", ["two", "-1", "1.5", "9" * 13])
def test_a_quota_is_whole_megabytes_or_none(place: Workplace, amount: str) -> None:
    typed(place, "user create ann --password-stdin")
    said = place("user", "set", "ann", f"--quota-mb={amount}", "--json")
    assert (said.status, said.error["code"]) == (2, "bad-parameter")
    assert place("user", "set", "ann", "--quota-mb", "none").status == 0


def test_a_key_of_somebody_else_is_not_revoked_by_their_name(place: Workplace) -> None:
    typed(place, "user create ann --password-stdin")
    said = place("user", "keys", "ann", "--revoke", "nothing", "--json")
    assert (said.status, said.error["code"]) == (2, "not-found")
