"""`python -m training.tests.read_bad_inputs write|read FOLDER`: makes the corpus, or reads it and says what came.

Reading is a process of its own that has made nothing: its memory, and its children's, is what an import takes.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import django
import psutil

MANIFEST = "cases.json"
UNPACKED = 20_000_000  # what an archive may unpack to here, so that the trap stays small


def write(root: Path) -> None:
    from training.tests.bad_inputs import CASES

    made = {}
    for number, (name, case) in enumerate(CASES.items()):
        folder = root / f"{number:03}"
        folder.mkdir()
        made[name] = str(case.write(folder))
    (root / MANIFEST).write_text(json.dumps(made))


class Peak:
    """The most memory that this process and its children held together, in MB, beyond what it held before."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._idle, self.most, self._stop = self._held(), 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _held(self) -> float:
        total = self._process.memory_info().rss
        for child in self._process.children():
            try:
                total += child.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total / 2**20

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            self.most = max(self.most, self._held() - self._idle)

    def end(self) -> float:
        self._stop.set()
        self._thread.join()
        return self.most


def read(root: Path) -> dict[str, Any]:
    django.setup()
    from training.datasets import archives
    from training.datasets.sources import SourceProblem
    from training.importers import Report, read_photos, source_of

    archives.MAX_UNPACKED_BYTES = UNPACKED
    results: dict[str, Any] = {}
    for name, written in json.loads((root / MANIFEST).read_text()).items():
        path = Path(written)
        before = set(os.listdir(path.parent))
        peak = Peak()
        report, good, began = Report(), 0, time.monotonic()
        try:
            good = sum(1 for _photo in read_photos(source_of(path), report=report))
            problems = [(each.file, each.problem) for each in report.problems]
        except SourceProblem as problem:
            problems = [(path.name, str(problem))]
        seconds = time.monotonic() - began
        new = sorted(set(os.listdir(path.parent)) - before)
        results[name] = {"seconds": seconds, "good": good, "problems": problems, "new_files": new}
        results[name]["peak_mb"] = peak.end()
    return {"results": results}


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]))
    else:
        print(json.dumps(read(Path(sys.argv[2]))))
