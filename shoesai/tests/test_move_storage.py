"""move_storage: every byte arrives, whatever happens on the way, and nothing goes where it must not."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import override_settings

from shoesai import files, moving
from shoesai.jobs import queue
from shoesai.jobs.supervisor import DAILY
from shoesai.jobs.tasks import only_runner
from shoesai.models import Job
from shoesai.moving import Damaged, Move, parts_for
from shoesai.testing import BaseTestCase, WorkerTestCase, png_bytes
from training.models import TrainingRun
from training.tests.runs import queued_run, taken


class Storage:
    """A data folder with blobs, a model with links in it, and a cache."""

    def __init__(self, folder: Path, blobs: int = 12, blob_bytes: int = 3000, model_bytes: int = 9 * 2**20) -> None:
        self.data = (folder / "data").resolve()
        self.destination = folder.resolve() / "disk"
        rng = random.Random(7)
        for _ in range(blobs):
            content = rng.randbytes(blob_bytes)
            self._write(self.blob_path(content), content)
        self._write(self.data / "models" / "sd15" / "unet" / "weights.safetensors", rng.randbytes(model_bytes))
        self._write(self.data / "cache" / "latents" / "ab" / "ab.safetensors", rng.randbytes(500))
        self._write(folder / "elsewhere" / "vae.safetensors", b"vae")
        (self.data / "models" / "sd15" / "vae").symlink_to("../../../elsewhere", target_is_directory=True)
        (self.data / "models" / "sd15" / "again.safetensors").symlink_to("unet/weights.safetensors")
        self.contents = self.read_all(self.data)

    def blob_path(self, content: bytes) -> Path:
        name = hashlib.sha256(content).hexdigest()
        return self.data / "blobs" / name[:2] / name

    @staticmethod
    def _write(path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    @staticmethod
    def read_all(folder: Path) -> dict[str, str]:
        """Relative name → hash, through links."""
        return {
            os.path.relpath(os.path.join(root, name), folder): hashlib.sha256(
                Path(root, name).read_bytes()
            ).hexdigest()
            for part in ("blobs", "models", "cache")
            for root, _, names in os.walk(folder / part, followlinks=True)
            for name in names
        }

    def assert_moved(self) -> None:
        for part in ("blobs", "models", "cache"):
            path = self.data / part
            assert path.is_symlink() and path.resolve() == self.destination / part
        assert self.read_all(self.data) == self.contents == self.read_all(self.destination)
        left = [path.name for path in self.data.iterdir() if not path.is_symlink()]
        assert not [name for name in left if "before-move" in name or name.endswith(".link")], left
        assert not list(self.destination.rglob(".moving-*"))

    def settings(self) -> Any:
        return override_settings(
            DATA_DIR=self.data, BLOB_DIR=self.data / "blobs", MODELS_DIR=(self.data / "models").resolve()
        )


@pytest.fixture
def storage(tmp_path: Path) -> Any:
    made = Storage(tmp_path)
    with made.settings():
        yield made


class PowerCut(BaseException):
    pass


class TestMoving:
    def test_everything_arrives_and_links_take_the_folders_places(self, storage: Storage) -> None:
        move = Move(parts_for(storage.destination))
        move.run()
        storage.assert_moved()
        assert move.done["blobs"].files == move.done["blobs"].copied_files == 12
        assert move.done["models"].files == 3

    def test_a_second_time_finds_everything_there(self, storage: Storage) -> None:
        Move(parts_for(storage.destination)).run()
        again = Move(parts_for(storage.destination))
        again.run()
        storage.assert_moved()
        assert sum(tally.files for tally in again.done.values()) == 0

    def test_what_was_set_aside_is_not_forgotten_whatever_moment_the_power_fails_in(self, tmp_path: Path) -> None:
        """At each call that changes the disk, once before it and once after it; then again without a fault."""
        for number in range(1, 400):
            storage = Storage(tmp_path / str(number), blobs=3, model_bytes=5000)
            with storage.settings():
                if not fails_at_change(number, storage.destination):
                    break
            for name in ("blobs", "cache"):  # the settings make what is missing when a process starts
                (storage.data / name).mkdir(exist_ok=True)
            with storage.settings():
                Move(parts_for(storage.destination)).run()
            storage.assert_moved()
        assert number > 30, "the fault must have been tried at many places"
        storage.assert_moved()

    @pytest.mark.parametrize("moment", ["os.sync", "_switch"])
    def test_what_is_written_meanwhile_comes_along(self, storage: Storage, moment: str) -> None:
        """After the copying, and just before the folder is set aside."""
        late = b"published while the rest was copied"

        def publish_first(*arguments: Any) -> None:
            path = storage.blob_path(late)
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(late)
                storage.contents[os.path.relpath(path, storage.data)] = hashlib.sha256(late).hexdigest()
            then(*arguments)

        then = _found(moment)
        with patch(f"shoesai.moving.{moment}", publish_first):
            Move(parts_for(storage.destination)).run()
        storage.assert_moved()
        assert storage.blob_path(late).read_bytes() == late

    def test_bytes_that_changed_on_the_new_disk_are_copied_again(self, storage: Storage) -> None:
        parts = parts_for(storage.destination)
        with patch("shoesai.moving._switch", side_effect=PowerCut), pytest.raises(PowerCut):
            Move(parts).run()
        victim = next((storage.destination / "blobs").rglob("[0-9a-f]*[0-9a-f]" * 2))
        victim.write_bytes(bytes(victim.stat().st_size))
        again = Move(parts_for(storage.destination))
        again.run()
        storage.assert_moved()
        assert (again.done["blobs"].copied_files, again.done["models"].copied_files) == (1, 0)

    def test_a_blob_that_is_damaged_already_stops_it_before_anything_is_switched(self, storage: Storage) -> None:
        victim = sorted((storage.data / "blobs").rglob("*"))[-1]
        victim.write_bytes(b"other bytes")
        with pytest.raises(Damaged, match=f"{victim.name} is damaged already"):
            Move(parts_for(storage.destination)).run()
        assert not (storage.data / "blobs").is_symlink()
        assert not (storage.destination / "blobs" / victim.name[:2] / victim.name).exists()

    def test_a_disk_that_gives_back_other_bytes_is_noticed(self, storage: Storage) -> None:
        copy = moving._copy

        def bad_copy(origin: Path, target: Path, tell: Any) -> str:
            read = copy(origin, target, tell)
            with target.open("r+b") as file:
                file.write(b"\0\0\0\0")
            return read

        with patch("shoesai.moving._copy", side_effect=bad_copy), pytest.raises(OSError, match="other bytes"):
            Move(parts_for(storage.destination)).run()
        assert storage.read_all(storage.data) == storage.contents

    def test_moving_on_to_a_third_disk_leaves_the_second_alone(self, storage: Storage, tmp_path: Path) -> None:
        Move(parts_for(storage.destination)).run()
        second, storage.destination = storage.destination, tmp_path.resolve() / "third"
        with storage.settings():
            Move(parts_for(storage.destination)).run()
        storage.assert_moved()
        assert storage.read_all(second) == storage.contents

    def test_models_that_lie_elsewhere_already_are_not_its_business(self, storage: Storage, tmp_path: Path) -> None:
        with override_settings(MODELS_DIR=tmp_path / "elsewhere"):
            assert [part.name for part in parts_for(storage.destination)] == ["blobs", "cache"]

    @pytest.mark.parametrize(
        ("destination", "words"),
        [
            ("data", "lies in the data folder"),
            ("data/new", "lies in the data folder"),
            ("data/blobs/ab", "lies in the data folder"),
            ("elsewhere", "holds other files"),
            ("elsewhere/vae.safetensors", "is not a folder"),
        ],
    )
    def test_a_destination_that_cannot_be_meant_is_refused(
        self, storage: Storage, tmp_path: Path, destination: str, words: str
    ) -> None:
        with pytest.raises(moving.MoveProblem, match=words):
            parts_for(tmp_path / destination)

    def test_a_link_into_the_data_folder_is_seen_through(self, storage: Storage, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(storage.data / "blobs", target_is_directory=True)
        with pytest.raises(moving.MoveProblem, match="lies in the data folder"):
            parts_for(tmp_path / "link")

    def test_two_data_folders_do_not_mix_on_one_disk(self, storage: Storage, tmp_path: Path) -> None:
        Move(parts_for(storage.destination)).run()
        other = Storage(tmp_path / "other")
        with other.settings(), pytest.raises(moving.MoveProblem, match="another data folder"):
            parts_for(storage.destination)


CHANGES = ("os.replace", "os.sync", "shutil.rmtree", "shutil.copystat", "_switch", "Path.rename", "Path.symlink_to")


def fails_at_change(number: int, destination: Path) -> bool:
    """Runs a move whose `number`-th change of the disk is its last. False when it has fewer."""
    seen = 0

    def counted(change: Any) -> Any:
        def perform(*args: Any, **options: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == number:
                raise PowerCut
            result = change(*args, **options)
            seen += 1
            if seen == number:
                raise PowerCut
            return result

        return perform

    patches = [patch(f"shoesai.moving.{name}", counted(_found(name))) for name in CHANGES]
    for each in patches:
        each.start()
    try:
        Move(parts_for(destination)).run()
    except PowerCut:
        return True
    finally:
        for each in patches:
            each.stop()
    return False


def _found(name: str) -> Any:
    thing: Any = moving
    for part in name.split("."):
        thing = getattr(thing, part)
    return thing


class CommandTests(BaseTestCase):
    """The command on a data folder of its own; the database is the tests'."""

    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.storage = Storage(Path(holder.name))
        overridden = self.storage.settings()
        overridden.enable()
        self.addCleanup(overridden.disable)
        quick = patch("shoesai.management.commands.move_storage.WORKER_ANSWERS_SECONDS", 0.1)
        quick.start()
        self.addCleanup(quick.stop)

    def move(self, *options: str) -> Any:
        out = StringIO()
        call_command("move_storage", str(self.storage.destination), *options, "--json", "--user", "alice", "-v", "0",
                     stdout=out)  # fmt: skip
        return json.loads(out.getvalue())

    def code_of(self, *options: str) -> int:
        with self.assertRaises(CommandError) as caught:
            self.move(*options)
        self.words = str(caught.exception)
        self.assertFalse((self.storage.data / "blobs").is_symlink())
        return caught.exception.returncode

    def test_it_moves_and_says_how_much(self) -> None:
        told = self.move()
        self.storage.assert_moved()
        self.assertEqual((told["files"], told["copied_files"], told["left"]), (16, 16, []))
        self.assertEqual(told["parts"]["blobs"]["bytes"], 12 * 3000)

    def test_pictures_are_read_and_written_as_before(self) -> None:
        before = files.publish(png_bytes("red"), "image/png")
        self.move()
        after = files.publish(png_bytes("blue"), "image/png")
        self.assertEqual(files.read(before), png_bytes("red"))
        self.assertEqual((self.storage.destination / "blobs" / after.sha256[:2] / after.sha256).read_bytes(),
                         png_bytes("blue"))  # fmt: skip

    def test_a_dry_run_counts_and_writes_nothing(self) -> None:
        told = self.move("--dry-run")
        self.assertEqual((told["files"], told["copied_files"], told["dry_run"]), (16, 16, True))
        self.assertFalse(self.storage.destination.exists() or Job.objects.exists())

    def test_jobs_that_run_are_in_its_way_and_those_of_killed_processes_are_not(self) -> None:
        taken(queued_run(self.alice))
        self.assertEqual(self.code_of(), 2)
        self.assertIn("Jobs are running: 1.", self.words)
        Job.objects.update(lease_owner=f"{queue.worker_name().rpartition(':')[0]}:999999999")
        self.move()

    def test_a_worker_in_the_middle_of_something_is_in_its_way(self) -> None:
        with only_runner("cpu"):
            self.assertEqual(self.code_of(), 2)
        self.assertIn("in the middle of a job", self.words)

    def test_too_little_space_is_said_before_anything_is_copied(self) -> None:
        with patch("shoesai.moving.shutil.disk_usage", return_value=SimpleNamespace(free=5_000_000)):
            self.assertEqual(self.code_of(), 2)
        self.assertEqual(self.words, "9.5 MB have to be copied, and 5.0 MB are free there.")
        self.assertFalse(self.storage.destination.exists())

    def test_a_folder_that_cannot_be_written_ends_with_1(self) -> None:
        with patch("shoesai.moving.Path.mkdir", side_effect=PermissionError(13, "Permission denied", "/mnt/x")):
            self.assertEqual(self.code_of(), 1)
        self.assertIn("Permission denied. Nothing is lost", self.words)

    def test_damage_ends_with_4(self) -> None:
        sorted((self.storage.data / "blobs").rglob("*"))[-1].write_bytes(b"other bytes")
        self.assertEqual(self.code_of(), 4)

    def test_a_run_goes_on_afterwards(self) -> None:
        run = queued_run(self.alice)
        self.storage.contents = self.storage.read_all(self.storage.data)  # its photos are new
        taken(run).finish(Job.State.FAILED, code="system", text="No space left on device.")

        def end(*_: Any) -> None:
            job = run.newest_job()
            if job and job.is_live:
                taken(run).finish(Job.State.SUCCEEDED)

        with patch("shoesai.terminal.time.sleep", side_effect=end):
            told = self.move("--resume", run.name)
        self.storage.assert_moved()
        self.assertEqual((told["run"]["run"], told["run"]["state"], run.jobs.count()), ("spring", "succeeded", 2))

    def test_a_run_that_cannot_go_on_is_named_before_anything_is_moved(self) -> None:
        self.assertEqual(self.code_of("--resume", "nowhere"), 3)
        run = queued_run(self.alice)
        taken(run).finish(Job.State.SUCCEEDED)
        self.assertEqual(self.code_of("--resume", run.name), 2)
        self.assertIn("spring is succeeded", self.words)
        self.assertEqual(TrainingRun.objects.get().jobs.count(), 1)


@pytest.mark.cluster
class WithAWorkerTests(WorkerTestCase):
    def test_an_idle_worker_is_found_out(self) -> None:
        self.wait_for(self._all_was_done_that_a_worker_begins_with)
        with tempfile.TemporaryDirectory() as folder, self.assertRaises(CommandError) as caught:
            call_command("move_storage", str(Path(folder) / "disk"), "--user", "alice")
        self.assertEqual(caught.exception.returncode, 2)
        self.assertIn("A worker is running", str(caught.exception))
        self.assertFalse(settings.BLOB_DIR.is_symlink())

    @staticmethod
    def _all_was_done_that_a_worker_begins_with() -> bool:
        done = set(Job.objects.filter(state=Job.State.SUCCEEDED).values_list("kind", flat=True))
        return done >= {"canary.gpu", *DAILY} and not Job.objects.filter(state__in=Job.LIVE).exists()


def test_a_move_that_is_killed_again_and_again_is_finished_by_the_last(tmp_path: Path) -> None:
    """Real processes and SIGKILL, at a different moment of the copying each time."""
    storage = Storage(tmp_path, blobs=120, blob_bytes=200_000)
    environment = {**os.environ, "SHOESAI_DATA_DIR": str(storage.data)}
    for name in ("DATABASE_URL", "MODELS_DIR"):
        environment.pop(name, None)
    manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
    subprocess.run([*manage, "migrate", "-v", "0"], env=environment, check=True)
    command = [*manage, "move_storage", str(storage.destination), "--json"]

    there = 0
    for wanted in (20, 90):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while arrived(storage) < wanted and time.monotonic() < deadline:
            assert process.poll() is None, "it has ended before it could be killed"
            time.sleep(0.002)
        process.kill()
        process.wait()
        assert arrived(storage) >= wanted
        assert not (storage.data / "blobs").is_symlink()
        there = arrived(storage)

    told = json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
    storage.assert_moved()
    assert told["parts"]["blobs"]["files"] == 120
    assert told["parts"]["blobs"]["copied_files"] == 120 - there  # what was verified is not copied twice


def arrived(storage: Storage) -> int:
    return sum(len(path.name) == 64 for path in (storage.destination / "blobs").rglob("*"))


def test_a_disk_that_is_not_mounted_is_named_and_no_empty_store_begins(tmp_path: Path) -> None:
    (tmp_path / "blobs").symlink_to(tmp_path / "mnt" / "blobs")
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "migrate"]
    environment = {**os.environ, "SHOESAI_DATA_DIR": str(tmp_path)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode
    assert f"leads to {tmp_path / 'mnt' / 'blobs'}, which is not there: mount that disk." in ended.stderr
    assert not (tmp_path / "mnt").exists()
