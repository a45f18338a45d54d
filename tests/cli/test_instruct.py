"""Instructions from the command line: given, confirmed, done by `worker --once`."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Workplace, picture


def _ready(place: Workplace) -> Path:
    made = place("project", "create", "lab", "--default-root", "--json")
    scenes = Path(made.json["root"]) / "scenes"
    scenes.mkdir()
    (scenes / "coast.png").write_bytes(picture())
    return scenes.parent


def test_an_instruction_is_given_confirmed_and_done(place: Workplace) -> None:
    """LAB-26, LAB-29."""
    root = _ready(place)
    payload = '{"model": "scripted:paid", "prompt": "dusk"}'
    create = ("instruct", "create", "--project", "lab", "--type", "pipeline_run", "--json")
    made = place(*create, "--payload", payload)
    assert made.status == 0, made.err
    assert made.json["state"] == "awaiting_confirmation"
    assert place("worker", "--once").status == 0
    assert place.books.paid_calls == 0
    sure = place("instruct", "confirm", made.json["id"], "--project", "lab")
    assert sure.status == 0, sure.err
    assert place("worker", "--once").status == 0
    shown = place("instruct", "show", made.json["id"], "--project", "lab", "--json")
    assert shown.json["state"] == "succeeded"
    kinds = [one["kind"] for one in shown.json["events"]]
    assert kinds == ["created", "confirmed", "started", "run_started", "ended"]
    assert place.books.paid_calls == 1
    assert (root / "outputs" / "coast.png").is_file()


def test_a_payload_comes_from_a_file_too_and_what_is_none_is_refused(place: Workplace) -> None:
    _ready(place)
    (place.folder / "order.json").write_text('{"stage": "x"}')
    create = ("instruct", "create", "--project", "lab", "--type", "qa", "--json", "--payload")
    assert place(*create, "@order.json").json["payload_json"] == {"stage": "x"}
    for payload, code in (("@nowhere", "file-missing"), ("[1]", "bad-parameter"), ("{", "bad-")):
        said = place(*create, payload)
        assert said.status == 2
        assert said.error["code"].startswith(code)
    wrong = place("instruct", "create", "--project", "lab", "--type", "dance", "--json")
    assert "pipeline_run" in wrong.error["message"]


def test_who_is_told_is_shown_without_the_path(place: Workplace) -> None:
    _ready(place)
    told = place("project", "notify", "lab", "http://127.0.0.1:9/secret", "--json")
    assert told.json["notifies"] == "http://127.0.0.1:9/…"
    assert place("project", "notify", "lab", "--off", "--json").json["notifies"] is None
    assert place("project", "notify", "lab", "--json").status == 2
