"""`maquette serve` as a program: the seed's requests as written, signals, ports, workers."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from maquette.cli.serve import LEGACY_PORTS

MAQUETTE = (sys.executable, "-c", "from maquette.cli import main; main()")
BASE = "http://127.0.0.1:8787"

ORDER = (
    '{"instruction_type":"pipeline_run","dispatch_to_agent":false,'
    '"payload_json":{"stage":"style","candidates":3}}'
)
AS_WRITTEN = (
    f"curl -s {BASE}/health",
    f"""curl -s -X POST {BASE}/api/projects \\
  -H 'Content-Type: application/json' \\
  -d '{{"name":"Eugenia Prod","slug":"eugenia_prod"}}'""",
    f"""curl -s -X PUT {BASE}/api/projects/eugenia_prod/storage/local \\
  -H 'Content-Type: application/json' \\
  -d '{{"project_root":"/data/iat/eugenia_prod"}}'""",
    f"""curl -s -X POST {BASE}/api/projects/eugenia_prod/chat/sessions \\
  -H 'Content-Type: application/json' \\
  -d '{{"title":"Scene planning"}}'""",
    f"""curl -s -X POST {BASE}/api/projects/eugenia_prod/agent/instructions \\
  -H 'Content-Type: application/json' \\
  -d '{ORDER}'""",
)


@pytest.fixture
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let one test at a time have the ports that the seeds name."""
    with FileLock(tmp_path_factory.getbasetemp().parent / "legacy-ports.lock"):
        yield


@contextmanager
def running(home: Path, *words: str, **more: str) -> Generator[subprocess.Popen[str]]:
    """Start `maquette serve`; it must answer, and leave by itself when it is told to."""
    environment = {**os.environ, "MAQUETTE_HOME": str(home), **more}
    command = [*MAQUETTE, "serve", *words]
    program = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield program
    finally:
        if program.poll() is None:
            program.terminate()
            program.wait(60)
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.close()
        program.stderr.close()


def first_line(program: subprocess.Popen[str]) -> str:
    assert program.stdout is not None
    return program.stdout.readline()


def curl(command: str) -> tuple[int, Any]:
    words = [*shlex.split(command.replace("\\\n", " ")), "-w", "\n%{http_code}"]
    told = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
    body, _, status = told.rpartition("\n")
    return int(status), json.loads(body)


@pytest.mark.usefixtures("ports")
def test_the_seeds_requests_work_as_written(tmp_path: Path) -> None:
    assert shutil.which("curl"), "the requests are made with curl; install it"
    with running(tmp_path / "home") as program:
        assert BASE in first_line(program)
        answers = [curl(command) for command in AS_WRITTEN]
        statuses = [status for status, _ in answers]
        assert statuses == [200, 201, 200, 201, 201], answers
        health, made, storage, chat, instruction = (body for _, body in answers)
        assert health["status"] == "ok"
        assert made["slug"] == "eugenia_prod"
        assert storage["local"]["project_root"] == "/data/iat/eugenia_prod"
        assert chat["title"] == "Scene planning"
        assert instruction["instruction_type"] == "pipeline_run"
        smoke = [
            *MAQUETTE,
            "contract-smoke",
            "--base-url",
            BASE,
            "--project-slug",
            "demo",
            "--json",
        ]
        environment = {**os.environ, "MAQUETTE_HOME": str(tmp_path / "home")}
        told = subprocess.run(
            smoke, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert told.returncode == 0, told.stdout + told.stderr
        assert all(one["ok"] for one in json.loads(told.stdout))
        wrong = [*AS_WRITTEN[:1][0].split(), "-X", "DELETE"]
        status, body = curl(shlex.join(wrong))
        assert (status, len(body["correlation_id"]) > 0) == (405, True)


@pytest.mark.usefixtures("ports")
def test_the_legacy_ports_answer_the_same(tmp_path: Path) -> None:
    with running(tmp_path / "home", "--port", "0", "--legacy-ports") as program:
        line = first_line(program)
        for port in LEGACY_PORTS:
            assert f":{port}" in line
            assert curl(f"curl -s http://127.0.0.1:{port}/health")[0] == 200


def test_a_taken_port_is_told_in_one_sentence(tmp_path: Path) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with running(tmp_path / "home", "--port", port) as program:
            assert program.wait(60) != 0
            assert program.stderr is not None
            assert f"Port {port}" in program.stderr.read()


def test_others_are_not_let_in_without_signing_in(tmp_path: Path) -> None:
    with running(tmp_path / "home", "--host", "0.0.0.0", "--port", "0") as program:  # noqa: S104 - refused
        assert program.wait(60) == 2
        assert program.stderr is not None
        assert "MAQUETTE_SERVER__AUTH=multi" in program.stderr.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_gracefully_while_somebody_follows(
    tmp_path: Path, number: signal.Signals
) -> None:
    with running(tmp_path / "home", "--port", "0", "--no-worker") as program:
        address = first_line(program).split()[3].rstrip(",")
        with subprocess.Popen(
            ["curl", "-sN", f"{address}/api/events"], stdout=subprocess.PIPE, text=True
        ) as follower:
            assert follower.stdout is not None
            assert "ready" in follower.stdout.readline() + follower.stdout.readline()
            began = time.monotonic()
            program.send_signal(number)
            assert program.wait(30) == 0
            assert time.monotonic() - began < 15
            assert follower.wait(10) == 0


def test_a_worker_stops_when_nothing_is_left(tmp_path: Path) -> None:
    environment = {**os.environ, "MAQUETTE_HOME": str(tmp_path / "home")}
    command = [*MAQUETTE, "worker", "--once"]
    subprocess.run(command, env=environment, check=True, timeout=60)


def test_the_contract_of_this_version_is_written_to_a_file(tmp_path: Path) -> None:
    command = [*MAQUETTE, "openapi", "--output", str(tmp_path / "contract.json")]
    subprocess.run(command, check=True, timeout=60)
    assert "/api/projects" in json.loads((tmp_path / "contract.json").read_text())["paths"]
