"""`manage.py serve`: web and worker together, and one Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from django.conf import settings
from django.core.management.base import CommandError

from shoesai.site import require_free_port

pytestmark = pytest.mark.cluster


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serve(data: Path, port: int) -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
    return subprocess.Popen(
        [sys.executable, "manage.py", "serve", "--port", str(port)],
        cwd=settings.BASE_DIR,
        env={**environment, "SHOESAI_DATA_DIR": str(data)},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    port = free_port()
    process = serve(tmp_path, port)
    yield process, port
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def answer(port: int, path: str, seconds: float = 40) -> bytes:
    """The reply's body, as soon as the site answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
                return reply.read()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def test_one_ctrl_c_stops_web_and_worker_and_leaves_nothing_behind(
    served: tuple[subprocess.Popen[str], int],
) -> None:
    process, port = served
    assert b'"status"' in answer(port, "/api/health")
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) > 5  # gunicorn, the worker and its clusters
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)  # an impatient second one changes nothing
    assert process.wait(60) == 0
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []


@pytest.mark.parametrize("port", [-1, 0, 65536, 10**9])
def test_a_number_that_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(CommandError, match="between 1 and 65535"):
        require_free_port(port)


def test_a_killed_serve_takes_its_worker_with_it(served: tuple[subprocess.Popen[str], int]) -> None:
    process, port = served
    answer(port, "/api/health")
    family = psutil.Process(process.pid).children(recursive=True)
    workers = [each for each in family if "gunicorn" not in " ".join(each.cmdline())]
    process.kill()
    _, alive = psutil.wait_procs(workers, timeout=45)
    for each in family:  # the web part is stateless, and ours to clean up here
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    assert alive == []


def test_a_taken_port_is_named_in_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        process = serve(tmp_path, port)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"Port {port} is taken by another program" in said and "Traceback" not in said
