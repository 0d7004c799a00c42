"""Says what is missing on this machine and what to do about it; no torch is imported here, the engine is asked."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from shoesai import terminal
from shoesai.jobs.engine_child import END, EngineChild
from shoesai.management.smoke import smoke
from shoesai.site import DEFAULT_PORT, require_free_port
from shoesai.terminal import DataCommand
from training.models import STARTER_WEIGHTS

TESTED_PYTHON, DECLARED_PYTHONS = (3, 11), ((3, 12), (3, 13))
ENGINE_SECONDS = 120.0
LITTLE_SPACE = 2 * 1024**3
REQUIREMENTS = Path(settings.BASE_DIR) / "requirements.txt"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
TOLD = ("device", "dtype", "name", "torch", "memory_mib", "threads")
INSTALL = "`make` installs requirements.txt into .venv; run commands with its python."


@dataclass(frozen=True)
class Check:
    """One line. What is not required is told, and does not fail the whole."""

    name: str
    ok: bool
    found: str
    remedy: str = ""
    required: bool = True


# --- the checks: one function each, one row in CHECKS -----------------------------------------------------------
def check_python() -> Iterator[Check]:
    version = sys.version_info[:2]
    note = "" if version == TESTED_PYTHON else " (declared, but not tested)"
    yield Check(
        "Python",
        version == TESTED_PYTHON or version in DECLARED_PYTHONS,
        ".".join(str(part) for part in sys.version_info[:3]) + note,
        "Use Python 3.11.",
    )


def check_packages() -> Iterator[Check]:
    pinned = _pinned(REQUIREMENTS.read_text())
    wrong = []
    for name, version in pinned.items():
        installed = _version(name)
        if installed.partition("+")[0] != version:
            wrong.append(f"{name} {installed or 'is missing'} instead of {version}")
    yield Check("Packages", not wrong, "; ".join(wrong) or f"{len(pinned)} as pinned", INSTALL)


def check_torch_pair() -> Iterator[Check]:
    """A CPU-only build of one beside PyPI's other breaks every import, so their builds must be the same too."""
    pinned = _pinned(REQUIREMENTS.read_text())
    versions = {name: _version(name) for name in ("torch", "torchvision")}
    as_pinned = all(version.partition("+")[0] == pinned.get(name) for name, version in versions.items())
    builds = {version.partition("+")[2] for version in versions.values()}
    yield Check(
        "torch and torchvision",
        as_pinned and len(builds) == 1,
        ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items()),
        f"Install both from the same index, as pinned. {INSTALL}",
    )


def check_engine() -> Iterator[Check]:
    """The device is what the real engine says, after it has really started."""
    child = EngineChild("check")
    started = time.monotonic()
    try:
        child.start()
        found = _wait_until_ready(child, started + ENGINE_SECONDS)
    finally:
        child.kill()
    seconds = time.monotonic() - started
    yield Check(
        "Engine and device",
        bool(found),
        f"{found} (started in {seconds:.1f} s)" if found else "the engine did not start",
        f"Read {settings.LOG_DIR / 'engine-check.log'}; SHOESAI_DEVICE may be auto, cpu, mps or cuda.",
    )


def _wait_until_ready(child: EngineChild, deadline: float) -> str:
    while time.monotonic() < deadline:
        event = child.next_event(timeout=0.5)
        if event is END:
            return ""
        if event and event.get("event") == "ready":
            return ", ".join(f"{key} {value}" for key, value in event.items() if key in TOLD)
    return ""


def check_data_folder() -> Iterator[Check]:
    folder = settings.DATA_DIR
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        yield Check("Data folder", False, f"{folder}: {error.strerror}", "Set SHOESAI_DATA_DIR to another folder.")
        return
    free = shutil.disk_usage(folder).free
    yield Check(
        "Data folder",
        free > LITTLE_SPACE,
        f"{folder}, {free / 1024**3:.1f} GB free",
        "Free some space, or set SHOESAI_DATA_DIR to a folder on a larger disk.",
    )


def check_database() -> Iterator[Check]:
    try:
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        yield Check("Database", False, f"{connection.vendor}: {error}", "Check DATABASE_URL.")
        return
    found = f"{connection.vendor}, " + (f"{len(pending)} migrations pending" if pending else "up to date")
    yield Check("Database", not pending, found, "Run `manage.py migrate`.")


def check_starter() -> Iterator[Check]:
    there = (STARTER_WEIGHTS / "model_index.json").is_file()
    size = sum(path.stat().st_size for path in STARTER_WEIGHTS.rglob("*.safetensors")) if there else 0
    yield Check(
        "Starter model",
        size > 0,
        f"{size / 1024**2:.1f} MB of weights" if size else "no weights",
        "They are part of the repository: `git checkout shoesai/starter/weights`, or `manage.py build_starter`.",
    )


def check_port() -> Iterator[Check]:
    try:
        require_free_port(DEFAULT_PORT)
    except CommandError:
        yield Check(f"Port {DEFAULT_PORT}", False, "taken", "`manage.py serve --port N` takes another.", False)
    else:
        yield Check(f"Port {DEFAULT_PORT}", True, "free", required=False)


def check_browser() -> Iterator[Check]:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), "")
    yield Check(
        "Chromium", bool(found), found or "not found", "Only the browser tests need it; they skip without.", False
    )


CHECKS: tuple[Callable[[], Iterator[Check]], ...] = (
    check_python,
    check_packages,
    check_torch_pair,
    check_engine,
    check_data_folder,
    check_database,
    check_starter,
    check_port,
    check_browser,
)


def _pinned(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;#]+)", text, flags=re.MULTILINE))


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


class Command(DataCommand):
    help = "Checks Python, packages, device, data folder, database and weights; says what to do about each."
    requires_system_checks: list[str] = []  # they may fail for the very reason that is looked for

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--smoke", action="store_true", help="Also train one step and make one picture through the real queue."
        )
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        checks = []
        for row in CHECKS:
            for check in row():
                checks.append(check)
                if not options["json"]:
                    self.stdout.write(line(check))
        figures: dict[str, Any] = {}
        if options["smoke"]:
            check, figures = self._smoke(options)
            checks.append(check)
            if not options["json"]:
                self.stdout.write(line(check))
        ok = all(check.ok for check in checks if check.required)
        if options["json"]:
            self.print_json({"ok": ok, "checks": [asdict(check) for check in checks], "smoke": figures})
        if not ok:
            raise CommandError("Something is missing; see above.", returncode=terminal.FAILED)

    def _smoke(self, options: dict[str, Any]) -> tuple[Check, dict[str, Any]]:
        try:
            figures = smoke(self.user(options), quiet=options["verbosity"] == 0)
        except (CommandError, DatabaseError) as error:
            if getattr(error, "returncode", 0) == terminal.STOPPED:
                raise
            remedy = f"Read the logs in {settings.LOG_DIR}."
            return Check("One step, one picture", False, str(error), remedy), {"error": str(error)}
        found = (
            f"on {figures['device']}: one training step in {figures['train_seconds']} s, one picture in"
            f" {figures['picture_seconds']} s, queue and engine start included; worker: {figures['worker']}"
        )
        return Check("One step, one picture", True, found), figures


def line(check: Check) -> str:
    mark = "✓" if check.ok else "✗" if check.required else "–"
    text = f"{mark} {check.name:22} {check.found}"
    return text if check.ok else f"{text}\n  {'':22} → {check.remedy}"
