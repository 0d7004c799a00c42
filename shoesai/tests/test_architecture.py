"""Keeps the design's picture true: torch only in the engine, the engine without Django, imports only downwards."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APPS = ("shoesai", "training", "generation", "gallery", "evaluation")
TORCH = {"torch", "torchvision", "diffusers", "transformers", "peft", "accelerate", "torchmetrics", "pytorch_fid"}
# Who may import which other app. Commands, URLs, admin of `shoesai` and its tests see every app: they compose.
MAY_IMPORT = {
    "shoesai": set(),
    "training": {"shoesai"},
    "generation": {"shoesai", "training"},
    "gallery": {"shoesai", "training", "generation"},
    "evaluation": {"shoesai", "training", "generation"},
}
# Inside an app: lower numbers may not import higher ones.
LAYERS = {"models": 0, "services": 1, "tasks": 2, "serializers": 2, "forms": 2, "views": 3, "api": 3, "urls": 4}


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from (p for p in (ROOT / folder).rglob("*.py") if "migrations" not in p.parts)


def imports_of(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    nodes: Iterable[ast.AST] = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_test(path: Path) -> bool:
    return "tests" in path.parts or path.name == "testing.py"


def composes(path: Path) -> bool:
    """The few places of `shoesai` that put the apps together."""
    relative = path.relative_to(ROOT / "shoesai")
    composing = {"urls", "portal_urls", "api_urls", "views", "api", "admin", "dashboard", "account_page"}
    return relative.parts[0] == "management" or relative.stem in composing


def test_torch_is_imported_only_in_the_engine() -> None:
    offenders = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources(*APPS)
        if "engine" not in path.parts and not is_test(path)
        for name in imports_of(path)
        if name.split(".")[0] in TORCH
    ]
    assert offenders == []


def test_the_engine_has_never_heard_of_django_nor_of_our_apps() -> None:
    offenders = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources("shoesai/engine")
        for name in imports_of(path)
        if name.split(".")[0] in {"django", "rest_framework", "training", "generation", "gallery", "evaluation"}
        or (name.startswith("shoesai.") and not name.startswith("shoesai.engine"))
    ]
    assert offenders == []


def test_specs_are_free_of_torch() -> None:
    code = "import sys, shoesai.engine.specs; print([m for m in sys.modules if m.split('.')[0] in {'torch', 'numpy'}])"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).strip() == "[]"


def test_apps_import_only_downwards() -> None:
    offenders = []
    for app in APPS:
        for path in sources(app):
            if is_test(path) or (app == "shoesai" and composes(path)):
                continue
            for name in imports_of(path):
                other = name.split(".")[0]
                if other in APPS and other != app and other not in MAY_IMPORT[app]:
                    offenders.append(f"{path.relative_to(ROOT)}: {name}")
    assert offenders == []


def test_layers_inside_an_app_point_downwards() -> None:
    offenders = []
    for app in APPS:
        for path in sources(app):
            level = LAYERS.get(path.stem)
            if level is None or is_test(path) or path.parent != ROOT / app:
                continue
            for name in imports_of(path, top_level_only=True):
                parts = name.split(".")
                target = LAYERS.get(parts[1]) if len(parts) > 1 and parts[0] in APPS else None
                if target is not None and target > level:
                    offenders.append(f"{path.relative_to(ROOT)}: {name}")
    assert offenders == []


def test_only_the_jobs_package_knows_django_q2() -> None:
    offenders = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources(*APPS)
        if "jobs" not in path.parts and not is_test(path) and path.name not in {"settings.py", "admin.py"}
        for name in imports_of(path)
        if name.split(".")[0] == "django_q"
    ]
    assert offenders == []


@pytest.mark.parametrize("entry", ["shoesai.wsgi", "shoesai.jobs.tasks", "django_q.cluster"])
def test_a_web_process_and_a_django_q2_process_hold_no_torch(entry: str) -> None:
    code = (
        "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'shoesai.settings'; import django; django.setup();"
        "import importlib; from django.urls import get_resolver; get_resolver().url_patterns;"
        "from django.utils.module_loading import import_string; from shoesai.jobs.kinds import KINDS;"
        "[import_string(kind.handler) for kind in KINDS.values()];"
        f"importlib.import_module('{entry}');"
        f"print(sorted({{m.split('.')[0] for m in sys.modules}} & {TORCH!r}))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).strip() == "[]"
