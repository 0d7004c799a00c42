"""A stretch of training as its worker sees it: what is kept, what it costs on disk, and the time that is counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from shoesai.jobs.engine_child import EngineChild, Event
from shoesai.testing import BaseTestCase, png_bytes
from training import tasks
from training.models import TrainingRun
from training.tests.runs import queued_run, taken
from training.watching import RunView

SECONDS = 0.3
Script = Callable[[Path], Iterator[Event]]


class SlowChild(EngineChild):
    """Goes on with its script only when it is asked for the next event; no process."""

    def __init__(self, script: Script) -> None:
        super().__init__("gpu")
        self._script = script

    def start(self) -> None:
        pass

    def kill(self) -> None:
        pass

    def forget_events(self) -> None:
        pass

    def send(self, message: dict[str, Any]) -> None:
        self._job = message["job"]
        self._told = self._script(Path(message["inputs"]["output_dir"]))

    def next_event(self, timeout: float) -> Event:
        return {"job": self._job, **next(self._told)}


class StretchTests(BaseTestCase):
    def setUp(self) -> None:
        self.run_ = queued_run(self.alice)
        self.claim = taken(self.run_)

    def train(self, script: Script) -> None:
        with patch("shoesai.jobs.runner.child_of", return_value=SlowChild(script)):
            tasks.train_lora(self.claim)

    def seconds(self) -> float:
        return TrainingRun.objects.get().train_seconds

    def kept(self, folder: Path, step: int, *, partial: bool = False) -> Event:
        state, lora = folder / f"{step}.state", folder / f"{step}.lora"
        state.write_bytes(b"state after %d" % step)
        if not partial:
            lora.write_bytes(b"LoRA after %d" % step)
        paths = {"path": "" if partial else str(lora), "state_path": str(state)}
        return {"event": "checkpoint", "step": step, "partial": partial, "rank": 8, "lora_alpha": 16.0, **paths}

    def test_what_is_kept_does_not_lie_in_the_engines_folder_any_more(self) -> None:
        def script(folder: Path) -> Iterator[Event]:
            self.assertEqual(folder.name, f"{self.claim.job.pk}-{self.claim.fence}")
            yield self.kept(folder, 10)
            self.assertEqual(list(folder.iterdir()), [])
            yield self.kept(folder, 15, partial=True)
            self.assertEqual(list(folder.iterdir()), [])
            picture = folder / "0.png"
            picture.write_bytes(png_bytes())
            yield {"event": "sample", "step": 15, "seq": 0, "prompt": "red", "seed": 7, "path": str(picture)}
            self.assertEqual(list(folder.iterdir()), [])
            self.folder = folder
            yield {"event": "done", "seconds": 1.0}

        self.train(script)
        self.assertFalse(self.folder.exists())
        self.assertEqual(self.run_.states.count(), 2)
        self.assertEqual((self.run_.checkpoints.get().step, self.run_.validation_images.count()), (10, 1))

    def test_time_is_counted_with_each_state_and_never_twice(self) -> None:
        def script(folder: Path) -> Iterator[Event]:
            time.sleep(SECONDS)
            yield self.kept(folder, 10)
            counted = self.seconds()
            self.assertGreaterEqual(counted, SECONDS)
            time.sleep(SECONDS)
            self.assertEqual(self.seconds(), counted)
            run = TrainingRun.objects.get()
            shown = RunView(run, self.alice).seconds_trained
            self.assertLess(shown, time.monotonic() - started + 0.2)
            yield self.kept(folder, 20)
            self.assertGreaterEqual(self.seconds(), counted + SECONDS)
            yield {"event": "done", "seconds": 1.0}

        started = time.monotonic()
        self.train(script)
        self.assertGreaterEqual(self.seconds(), 2 * SECONDS)
        self.assertLessEqual(self.seconds(), time.monotonic() - started)

    def test_time_that_a_full_disk_did_not_let_be_kept_is_counted_at_the_end(self) -> None:
        def script(folder: Path) -> Iterator[Event]:
            time.sleep(SECONDS)
            yield self.kept(folder, 10)

        with self.settings(BLOB_DIR="/dev/null"), self.assertRaises(OSError):  # nothing can be written below it
            self.train(script)
        self.assertFalse(self.run_.states.exists())
        self.assertGreaterEqual(self.seconds(), SECONDS)
