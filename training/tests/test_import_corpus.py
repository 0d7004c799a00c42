"""Two hundred bad inputs: each is told with file and reason, quickly, in little memory, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from training.tests.bad_inputs import CASES

SECONDS, MEGABYTES = 5.0, 300.0


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root, data = tmp_path_factory.mktemp("corpus"), tmp_path_factory.mktemp("data")
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "shoesai.settings", "SHOESAI_DATA_DIR": str(data)}
    command = [sys.executable, "-m", "training.tests.read_bad_inputs"]
    subprocess.run([*command, "write", root], check=True, env=environment)
    told = json.loads(subprocess.check_output([*command, "read", root], env=environment))
    return {**told, "left": sorted(path.name for path in Path(data, "work").iterdir())}


def test_there_are_many_of_them(read: dict[str, Any]) -> None:
    assert len(CASES) >= 150
    assert set(read["results"]) == set(CASES)


@pytest.mark.parametrize("name", list(CASES))
def test_it_is_told_and_nothing_else_comes_of_it(read: dict[str, Any], name: str) -> None:
    case, told = CASES[name], read["results"][name]
    assert any(case.file in file and case.words in words for file, words in told["problems"]), told["problems"]
    assert told["good"] == case.good
    assert told["seconds"] < SECONDS
    assert told["peak_mb"] < MEGABYTES
    assert told["new_files"] == []


def test_all_of_them_together_leave_no_files(read: dict[str, Any]) -> None:
    assert read["left"] == []
