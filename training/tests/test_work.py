"""Folders that an engine writes and a command takes away: whole or not at all, and never for ever."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

from shoesai.jobs import queue
from shoesai.models import Job
from shoesai.testing import BaseTestCase
from training import work


class WorkTest(BaseTestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)
        (self.folder / "work").mkdir()
        self.enterContext(self.settings(WORK_DIR=self.folder / "work"))
        self.job = queue.enqueue(owner=self.alice, kind="scan_models")

    def written(self, content: str = "new") -> None:
        with work.writing(self.job) as folder:
            (folder / "unet").mkdir()
            (folder / "unet" / "weights").write_text(content)

    def test_a_finished_folder_is_moved_and_an_older_one_replaced(self) -> None:
        for content in ("old", "new"):
            self.written(content)
            work.take(self.job, self.folder / "out" / "pipeline")
            self.assertEqual((self.folder / "out" / "pipeline" / "unet" / "weights").read_text(), content)
        self.assertEqual([path.name for path in (self.folder / "out").iterdir()], ["pipeline"])
        self.assertFalse(work.folder_of(self.job).exists())

    def test_to_another_disk_it_is_copied_beside_its_place_first(self) -> None:
        self.written()
        rename, source = os.rename, work.folder_of(self.job)

        def other_disk(one: Any, other: Any, **kwargs: Any) -> None:
            if Path(one) == source:
                raise OSError(errno.EXDEV, "Invalid cross-device link")
            rename(one, other, **kwargs)

        with patch("training.work.os.rename", other_disk):
            work.take(self.job, self.folder / "out")
        self.assertEqual((self.folder / "out" / "unet" / "weights").read_text(), "new")
        self.assertFalse(source.exists())

    def test_a_move_that_fails_leaves_the_older_one(self) -> None:
        self.written("old")
        work.take(self.job, self.folder / "out")
        self.written("new")
        with patch("training.work.os.rename", side_effect=OSError(errno.ENOSPC, "No space left on device")):
            self.assertRaises(OSError, work.take, self.job, self.folder / "out")
        self.assertEqual((self.folder / "out" / "unet" / "weights").read_text(), "old")
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["out", "work"])

    def test_a_job_that_fails_leaves_no_folder(self) -> None:
        with self.assertRaises(RuntimeError), work.writing(self.job) as folder:
            (folder / "half").write_text("half")
            raise RuntimeError
        self.assertFalse(work.folder_of(self.job).exists())

    def test_a_worker_that_lost_its_job_takes_nothing_from_the_next_one(self) -> None:
        first = queue.claim(self.job.lane)
        assert first
        with work.of_claim(first) as old:
            first.requeue()
            second = queue.claim(self.job.lane)
            assert second
            taking = work.of_claim(second)
            new = taking.__enter__()
            (new / "state").write_text("state")
        self.assertNotEqual(old, new)
        self.assertTrue((new / "state").exists())
        taking.__exit__(None, None, None)
        self.assertEqual(list((self.folder / "work").iterdir()), [])

    def test_what_a_killed_worker_left_goes_when_its_job_is_taken_again(self) -> None:
        (self.folder / "work" / f"{self.job.pk}-0").mkdir()
        claim = queue.claim(self.job.lane)
        assert claim
        with work.of_claim(claim) as folder:
            self.assertEqual(list((self.folder / "work").iterdir()), [folder])

    def test_what_nobody_took_away_goes_after_a_day_but_not_under_a_job_at_work(self) -> None:
        long_ago = 1_700_000_000
        ended = queue.enqueue(owner=self.alice, kind="scan_models")
        Job.objects.filter(pk=ended.pk).update(state=Job.State.SUCCEEDED)
        names = (str(ended.pk), f"{ended.pk}-2", str(self.job.pk), f"{self.job.pk}-1", "import-something")
        for name in names:
            (self.folder / "work" / name).mkdir()
            os.utime(self.folder / "work" / name, (long_ago, long_ago))
        work.forget_abandoned()
        left = sorted(path.name for path in (self.folder / "work").iterdir())
        self.assertEqual(left, sorted(names[2:]))
