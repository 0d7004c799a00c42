"""Web and worker as children of one command: `serve` and `demo` start and stop them."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core.management.base import CommandError

DEFAULT_PORT = 8011
STOP_SECONDS = settings.DRAIN_SECONDS + 10


def require_free_port(port: int) -> None:
    """Raises CommandError, in one sentence, when nothing can listen there."""
    if not 0 < port < 65536:
        raise CommandError(f"--port {port}: a port is a number between 1 and 65535.", returncode=2)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError as error:
            raise CommandError(
                f"Port {port} is not open to this user; choose one above 1023 with --port.", returncode=1
            ) from error
        except OSError as error:
            raise CommandError(
                f"Port {port} is taken by another program; stop it, or choose another with --port.", returncode=1
            ) from error


def signals_interrupt() -> None:
    """So that whoever starts worker or web also stops them, however it is asked to end.

    SIGINT too: a script's shell starts what it puts in the background with SIGINT ignored, and Python leaves it so.
    """

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)


def start_worker() -> subprocess.Popen[bytes]:
    """Its own session: a Ctrl-C at the terminal reaches only the parent, which then stops both in order.

    Its stdin is a pipe from us, so that it drains and ends even when we are killed.
    """
    with (settings.LOG_DIR / "worker.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "worker", "--until-stdin-closes"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def start_web(port: int, host: str = "127.0.0.1") -> subprocess.Popen[bytes]:
    # Threads, because a request may wait for its pictures for a minute.
    command = [sys.executable, "-m", "gunicorn", "shoesai.wsgi:application", "--bind", f"{host}:{port}"]
    command += ["--workers", "2", "--threads", "16", "--timeout", "400", "--graceful-timeout", "5"]
    command += ["--no-control-socket", "--log-level", "warning"]
    return subprocess.Popen(
        command, cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL, start_new_session=True
    )


def stop_all(*processes: subprocess.Popen[bytes]) -> None:
    """Asks each to stop and waits; kills what does not."""
    with _undisturbed():
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C must not cut the drain short."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def serve_until_stopped(*processes: subprocess.Popen[bytes]) -> None:
    """Returns on Ctrl-C; raises CommandError when a child ends by itself."""
    try:
        while True:
            for process in processes:
                if process.poll() is not None:
                    raise CommandError(
                        f"A part ended by itself with exit code {process.returncode}; see {settings.LOG_DIR}."
                    )
            time.sleep(0.3)
    except KeyboardInterrupt:
        return
