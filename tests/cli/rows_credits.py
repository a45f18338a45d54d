"""WEB-10: the flags of `maquette credits`."""

from __future__ import annotations

from collections.abc import Iterator

from tests.cli.conftest import Said, Workplace
from tests.cli.rows import Doing, Row, is_json, works
from tests.cli.rows_user import typed


def of(name: str, *commands: str) -> Doing:
    """Make an account of that name and run command lines about it; the last one is looked at."""

    def work(place: Workplace) -> Said:
        assert typed(place, f"user create {name} --password-stdin").status == 0
        *before, last = (one.replace("NAME", name).split() for one in commands)
        for words in before:
            assert place("credits", *words).status == 0
        return place("credits", *last)

    return lambda place: place.once(("credits", name, commands), lambda: work(place))


GRANT = "grant NAME 2.50 --why welcome"


def _rows() -> Iterator[Row]:
    shown = of("abe", GRANT, "show NAME --json")
    yield Row(
        "credits show",
        "--json",
        shown,
        of("ada", "show NAME"),
        lambda said: said.status == 0 and is_json(said) and said.json["balance"] == "2.5",
    )
    given = of("amy", f"{GRANT} --json")
    yield Row("credits grant", "--json", given, of("art", GRANT), is_json)
    yield Row("credits grant", "--why", given, of("ash", "grant NAME 2.50 --json"), works)
    back = of("avi", GRANT, "grant NAME 1 --why oops --take-back --json")
    yield Row(
        "credits grant",
        "--take-back",
        back,
        given,
        lambda said: said.status == 0 and said.json["balance"] == "1.5",
    )
    more = of("axl", GRANT, GRANT, "ledger NAME --json --limit 1")
    all_ = of("aya", GRANT, GRANT, "ledger NAME --json")
    yield Row("credits ledger", "--limit", more, all_, lambda said: len(said.json) == 1)
    yield Row("credits ledger", "--json", all_, of("ayo", GRANT, "ledger NAME"), is_json)
    verified = of("azi", GRANT, "verify --json")
    yield Row("credits verify", "--json", verified, of("azu", "verify"), is_json)


ROWS = tuple(_rows())
