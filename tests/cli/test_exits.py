"""Exit statuses, as `maquette --help` lists them, and errors that a program can read."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from maquette.cli.exits import Exit, status_of, status_of_state
from maquette.core import errors
from maquette.core.states import JobState
from maquette.testing.scripted import Act

if TYPE_CHECKING:
    from tests.cli.conftest import Said, Workplace

_LAB = "--project lab --project-root root"
_RUN = f"run {_LAB} --input scenes/coast.png"
_FREE = f"{_RUN} --model proof --json".split()
_PAID = f"{_RUN} --model paid --prompt dusk --json".split()


def _family(kind: type[errors.MaquetteError]) -> Iterator[type[errors.MaquetteError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _family(child)


_USAGE = (errors.InvalidInput, errors.NotFound, errors.Conflict)


@pytest.mark.parametrize("kind", list(_family(errors.MaquetteError)), ids=lambda kind: kind.code)
def test_every_error_has_the_status_of_its_branch(kind: type[errors.MaquetteError]) -> None:
    expected = Exit.FAILED
    if issubclass(kind, _USAGE):
        expected = Exit.USAGE
    elif issubclass(kind, errors.SpendRefused):
        expected = Exit.SPEND_REFUSED
    elif issubclass(kind, errors.Cancelled):
        expected = Exit.INTERRUPTED
    assert status_of(kind("words")) is expected


@pytest.mark.parametrize("state", list(JobState))
def test_only_a_succeeded_run_exits_with_zero(state: JobState) -> None:
    assert (status_of_state(state) == 0) == (state is JobState.SUCCEEDED)


def test_the_help_lists_every_status(place: Workplace) -> None:
    words = " ".join(place("--help").out.split())
    assert "Exit status:" in words
    listed = words.partition("Exit status:")[2].partition("Options")[0]
    assert [part.split()[0] for part in listed.split(",")] == [str(int(one)) for one in Exit]


def test_0_is_done(place: Workplace) -> None:
    said = place(*_FREE)
    assert said.status == 0
    assert said.json["state"] == "succeeded"
    assert said.err == ""


def test_1_is_a_failed_job_and_the_log_says_why(place: Workplace) -> None:
    """LAB-12: the run log is written for a failed run too."""
    place.script[:] = [Act("refuse")]
    said = place(*_PAID, "--confirm-spend")
    assert said.status == 1
    assert said.json["state"] == "failed"
    assert said.log["jobs"][0]["error_code"] == "provider-refused"


def test_1_is_an_unknown_outcome(place: Workplace) -> None:
    """LAB-14: the next command is the one that lets a person decide."""
    place.script[:] = [Act("lose")]
    said = place(*_PAID, "--confirm-spend")
    assert said.status == 1
    assert said.json["state"] == "outcome_unknown"
    assert said.json["next_commands"][0] == "maquette spend unknown"


def test_1_is_a_flaw_that_verify_finds(place: Workplace) -> None:
    place(*_FREE)
    winner = place.root / "outputs/coast.png"
    winner.unlink()
    winner.write_bytes((place.scenes / "dunes.png").read_bytes())
    said = place(*f"verify {_LAB} --json".split())
    assert said.status == 1
    assert [flaw["what"] for flaw in said.json["flaws"]] == ["changed"]


def test_1_is_one_bad_picture_among_good_ones(place: Workplace) -> None:
    """LAB-8: one that fails does not stop the others."""
    (place.scenes / "broken.png").write_bytes(b"")
    said = place(*f"upscale {_LAB} --input scenes --json".split())
    assert said.status == 1
    made = {Path(one["source"]).name: one["output"] for one in said.json}
    assert made == {
        "broken.png": None,
        "coast.png": "upscaled/coast.png",
        "dunes.png": "upscaled/dunes.png",
    }


@pytest.mark.parametrize(
    "words",
    [
        "run --json",
        "run --project lab --json --no-such-flag",
        "no-such-command --json",
        "run --project lab --candidates many --json",
        "run --project lab --candidates 0 --json",
        "show --json",
        "run --project lab --project-root root --model proof --json",
        "run --project Lab! --project-root root --json",
        "show nothing-of-that-name --json",
        "resume nothing-of-that-name --json",
    ],
)
def test_2_is_a_usage_error_and_a_program_can_read_it(words: str, place: Workplace) -> None:
    said = place(*words.split())
    assert said.status == 2
    assert said.error["code"]
    assert len(said.error["message"]) > 20
    assert said.out == ""


def test_2_is_a_usage_error_and_a_person_can_read_it(place: Workplace) -> None:
    said = place("run")
    assert said.status == 2
    assert "--project" in said.err
    assert "{" not in said.err


def _refused(said: Said, place: Workplace, code: str) -> None:
    assert said.status == 3
    assert said.error["code"] == code
    assert "nothing was sent" in said.error["message"].lower()
    assert place.books.entries() == []


def test_3_is_a_price_nobody_confirmed(place: Workplace) -> None:
    """LAB-1, LAB-14: refused without `--confirm-spend`, and nothing is written."""
    said = place(*_PAID)
    _refused(said, place, "spend-not-confirmed")
    assert "--confirm-spend" in said.error["message"]
    assert not place.root.exists()


def test_3_is_a_run_over_its_own_ceiling(place: Workplace) -> None:
    """LAB-14: `--max-spend`."""
    said = place(*_PAID, "--confirm-spend", "--max-spend", "0.03")
    _refused(said, place, "budget-exceeded")
    assert "--max-spend" in said.error["message"]


def test_3_is_a_cap(place: Workplace) -> None:
    """LAB-14: the caps of WEB-9."""
    assert place("spend", "caps", "--set", "day=0.03").status == 0
    _refused(place(*_PAID, "--confirm-spend"), place, "budget-exceeded")


def test_3_is_the_kill_switch(place: Workplace) -> None:
    """LAB-14: the kill switch stops a run before its first call, and says how it is taken back."""
    assert place("spend", "stop").status == 0
    said = place(*_PAID, "--confirm-spend")
    _refused(said, place, "spend-stopped")
    assert "maquette spend resume" in said.error["message"]


def test_3_is_a_model_without_a_price(place: Workplace) -> None:
    """LAB-14: no price is never taken as free."""
    words = f"{_RUN} --model unpriced --prompt dusk --json --confirm-spend"
    _refused(place(*words.split()), place, "price-unknown")


def test_4_is_the_guard_and_the_log_is_written_first(place: Workplace) -> None:
    """LAB-7: non-zero after the run log is written; the pictures are in archive/bad/."""
    said = place(*_FREE, "--enforce-grayscale", "--candidates", "2")
    assert said.status == 4
    assert said.json["state"] == "failed_output_guard"
    assert {one["state"] for one in said.log["jobs"][0]["candidates"]} == {"failed_output_guard"}
    assert len(list((place.root / "archive/bad").iterdir())) == 2
    assert list((place.root / "outputs").iterdir()) == []


def test_4_is_an_audit_that_found_something(place: Workplace) -> None:
    """LAB-7, LAB-8: `qa` changes nothing."""
    before = (place.scenes / "coast.png").read_bytes()
    words = "qa --project lab --project-root root --input scenes --enforce-grayscale --json"
    assert place(*words.split()).status == 4
    assert (place.scenes / "coast.png").read_bytes() == before
    assert not place.root.exists()


# --- 130: a real process, really interrupted


def _states(home: Path) -> list[str]:
    database = home / "app.db"
    if not database.exists():
        return []
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        try:
            return [row[0] for row in connection.execute("SELECT state FROM run_jobs")]
        except sqlite3.OperationalError:  # the schema is being written
            return []


def _wait_for_work(home: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while "running" not in _states(home):
        assert process.poll() is None, "it ended before it could be interrupted"
        assert time.monotonic() < deadline, "no job began"
        time.sleep(0.02)


@pytest.fixture
def interrupted(place: Workplace) -> Said:
    """Press Ctrl-C in a run of many scenes, one at a time, when the first has begun."""
    data = (place.scenes / "coast.png").read_bytes()
    for number in range(14):
        (place.scenes / f"many{number:02}.png").write_bytes(data)
    command = [
        str(Path(sys.executable).with_name("maquette")),
        *f"run {_LAB} --input scenes --model proof --json".split(),
    ]
    environment = {
        **os.environ,
        "MAQUETTE_HOME": str(place.home),
        "MAQUETTE_PARALLEL_JOBS": "1",
        "MAQUETTE_WORKERS__COUNT": "1",
    }
    process = subprocess.Popen(
        command,
        cwd=place.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        _wait_for_work(place.home, process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    return type(place("--version"))(tuple(command), process.returncode, out, err, place.folder)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_130_is_an_interrupted_run_that_resume_completes(
    interrupted: Said, place: Workplace
) -> None:
    """LAB-1, LAB-12: one Ctrl-C ends the run cleanly, its log says so, and nothing is lost."""
    assert interrupted.status == 130, interrupted.err
    assert interrupted.json["state"] == "cancelled"
    assert interrupted.log["state"] == "cancelled"
    run = interrupted.json["run"]
    assert interrupted.json["next_commands"][0] == f"maquette resume {run}"
    resumed = place("resume", run, "--json")
    assert resumed.status == 0, resumed.err
    assert len(list((place.root / "outputs").iterdir())) == 16
    verified = place(*f"verify {_LAB} --json".split())
    assert verified.json["flaws"] == []
