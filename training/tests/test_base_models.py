"""Bringing base models in: by name, by folder, by file, by hub id; what is refused, and what an interruption leaves."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from django.core.management import CommandError, call_command
from django.db import connections
from django.test import SimpleTestCase, TransactionTestCase, override_settings

from shoesai import terminal
from shoesai.engine import base_folder, tensor_file
from shoesai.engine.random_base import tensors_of
from shoesai.jobs import queue
from shoesai.jobs.runner import run
from shoesai.models import Job
from shoesai.testing import BaseTestCase, People, starter
from training import base_models
from training.base_models import UnknownBaseModel, find_base_model
from training.models import BaseModel, Family
from training.tests.bases import hollow_base_folder, small_base_folder
from training.tests.fake_hub import FakeHub


class NameTests(BaseTestCase):
    def test_a_base_model_is_found_by_its_own_name_and_by_the_hubs_old_and_new(self) -> None:
        sd15 = BaseModel.objects.create(name="sd15", title="SD 1.5", family=Family.SD15)
        for name in ("sd15", "runwayml/stable-diffusion-v1-5", "stable-diffusion-v1-5/stable-diffusion-v1-5"):
            self.assertEqual(find_base_model(name), sd15)

    def test_one_that_is_not_here_is_answered_with_those_that_are_and_the_command_that_adds_it(self) -> None:
        for name, command in {
            "runwayml/stable-diffusion-v1-5": "stable-diffusion-v1-5/stable-diffusion-v1-5 --name sd15",
            "someone/shoe-diffusion": "someone/shoe-diffusion --name shoe-diffusion",
            "shoes": "FOLDER_OR_FILE --name shoes",
        }.items():
            with self.assertRaises(UnknownBaseModel) as caught:
                find_base_model(name)
            self.assertIn("here: starter.", str(caught.exception))
            self.assertIn(f"manage.py add_base_model {command}", str(caught.exception))


class Commands(People, SimpleTestCase):
    """Command lines with a MODELS_DIR of their own. Staff: Alice."""

    def setUp(self) -> None:
        super().setUp()
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.elsewhere, self.models = Path(holder.name) / "elsewhere", Path(holder.name) / "models"
        self.elsewhere.mkdir()
        self.models.mkdir()
        self.enterContext(override_settings(MODELS_DIR=self.models))
        self.alice.is_staff = True
        self.alice.save()

    def told_by(self, command: str, *options: str, user: str = "alice") -> Any:
        out = StringIO()
        call_command(command, *options, "--json", "--user", user, "-v", "0", stdout=out)
        return json.loads(out.getvalue())

    def code_of(self, command: str, *options: str, user: str = "alice") -> int:
        with self.assertRaises(CommandError) as caught:
            self.told_by(command, *options, user=user)
        self.words = str(caught.exception)
        return caught.exception.returncode

    def names_in_models_dir(self) -> list[str]:
        return sorted(path.name for path in self.models.iterdir())


class RefusalTests(Commands, BaseTestCase):
    """Everything that can be known beforehand is said at once: no job is queued, nothing is written."""

    def tearDown(self) -> None:
        self.assertEqual((Job.objects.count(), self.names_in_models_dir()), (0, []))

    def refused(self, code: int, sentence: str, *options: str, user: str = "alice") -> None:
        self.assertEqual(self.code_of("add_base_model", *options, user=user), code, self.words)
        self.assertRegex(self.words, sentence)
        self.assertNotIn(str(self.models.parent), self.words.replace(options[0], ""))

    def test_sources_that_are_not_base_models(self) -> None:
        folder = hollow_base_folder(self.elsewhere / "model")
        inpainting = hollow_base_folder(self.elsewhere / "inpainting")
        config = inpainting / "unet" / "config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), "in_channels": 9}))
        pickles = hollow_base_folder(self.elsewhere / "pickles")
        weights = pickles / "unet" / "diffusion_pytorch_model.safetensors"
        weights.rename(weights.with_suffix(".bin"))
        pickle, text = self.elsewhere / "model.ckpt", self.elsewhere / "notes.safetensors"
        pickle.write_bytes(b"\x80\x04cos\nsystem\n")
        text.write_text("not tensors at all")
        part = folder / "unet" / "diffusion_pytorch_model.safetensors"
        tokenizer = ("--tokenizer", str(folder / "tokenizer"))
        for code, sentence, *source in (
            (3, "neither a folder nor a file that is here, nor a hub id", str(self.elsewhere / "gone")),
            (3, "neither a folder nor a file that is here, nor a hub id", "../no/such/model"),
            (4, "'elsewhere' is not a diffusers folder: it has no model_index.json", str(self.elsewhere)),
            (4, "'inpainting' is made for inpainting, not for text to image", str(inpainting)),
            (4, "weights of its unet only as a pickle, which could run code", str(pickles)),
            (4, "model.ckpt is a pickle, which could run code and is never read", str(pickle), *tokenizer),
            (4, "notes.safetensors is not a safetensors file", str(text), *tokenizer),
            (4, "is not a whole Stable Diffusion checkpoint", str(part), *tokenizer),
            (4, "'unet' holds no tokenizer", str(self.single_file()), "--tokenizer", str(folder / "unet")),
            (2, "--tokenizer: a single file has no tokenizer", str(self.single_file())),
        ):
            with self.subTest(source=source):
                self.refused(code, sentence, *source, "--name", "shoes")

    def single_file(self) -> Path:
        """Enough of a header to be taken for a Stable Diffusion 1.5 until somebody asks for its tensors."""
        file = self.elsewhere / "v1-5.safetensors"
        shapes = {
            "model.diffusion_model.input_blocks.0.0.weight": (8, 4, 3, 3),
            "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (8, 768),
            "first_stage_model.quant_conv.bias": (8,),
            "cond_stage_model.transformer.text_model.final_layer_norm.bias": (8,),
        }
        tensor_file.write(file, tensors_of("all", shapes, 0, "fp16"))
        return file

    def test_settings_that_cannot_be_meant(self) -> None:
        folder = str(hollow_base_folder(self.elsewhere / "model"))
        starter()
        for sentence, *options in (
            ("--name: give the base model the name that it shall have", folder),
            ("--name: '../up' must be letters", folder, "--name", "../up"),
            ("--name: there is a base model named 'starter' already", folder, "--name", "starter"),
            ("--resolution: 500 must be a multiple of 8", folder, "--name", "a", "--resolution", "500"),
            ("--guidance-scale: -1.0 must be between", folder, "--name", "a", "--guidance-scale", "-1"),
            ("--title: must be at most 120", folder, "--name", "a", "--title", "x" * 121),
            ("--tokenizer: only a single file needs one", folder, "--name", "a", "--tokenizer", folder),
            ("--revision: only the hub has revisions", folder, "--name", "a", "--revision", "main"),
            ("--name: give the base model", "someone/model"),
        ):
            with self.subTest(options=options):
                self.refused(2, sentence, *options)

    def test_only_staff_add_base_models(self) -> None:
        folder = str(hollow_base_folder(self.elsewhere / "model"))
        self.refused(2, "bob is not staff, and only staff add base models", folder, "--name", "a", user="bob")
        self.assertEqual(self.code_of("make_base_model", "--random", user="bob"), 2)
        self.assertIn("only staff", self.words)

    def test_a_full_disk_is_noticed_before_the_work(self) -> None:
        little = shutil._ntuple_diskusage(10**12, 10**12, 10**9)
        with patch.object(base_models.shutil, "disk_usage", return_value=little):
            self.assertEqual(self.code_of("make_base_model", "--random"), 2)
        self.assertEqual(self.words, "MODELS_DIR has 1.0 GB free, and sd15-random needs 2.1 GB there.")

    def test_make_base_model_wants_to_hear_that_the_weights_mean_nothing(self) -> None:
        self.assertEqual(self.code_of("make_base_model"), 2)
        self.assertIn("Give --random", self.words)
        self.assertEqual(self.code_of("make_base_model", "--random", "--seed", "-1"), 2)
        self.assertIn("seed: must be between 0", self.words)

    def test_a_dry_run_tells_the_plan_and_writes_nothing(self) -> None:
        plan = self.told_by("make_base_model", "--random", "--precision", "fp32", "--dry-run")
        self.assertEqual((plan["base_model"], plan["bytes"]), ("sd15-random", 4 * 1_066_235_307))
        folder = hollow_base_folder(self.elsewhere / "model")
        plan = self.told_by("add_base_model", str(folder), "--name", "shoes", "--dry-run")
        self.assertEqual((plan["folder"], plan["source"], plan["made_by"]), ("shoes", "model", "folder"))
        self.assertNotIn(str(self.elsewhere), json.dumps(plan))
        plan = self.told_by("add_base_model", "runwayml/stable-diffusion-v1-5", "--dry-run")
        self.assertEqual(plan["source"], "stable-diffusion-v1-5/stable-diffusion-v1-5@newest")
        self.assertEqual(plan["base_model"], "sd15")


class AddTests(Commands, TransactionTestCase):
    """Through the real engine; no worker runs, so the command does the work itself."""

    def setUp(self) -> None:
        self.make_people()
        super().setUp()
        self.enterContext(patch.object(terminal, "NOBODY_CLAIMS_SECONDS", 0.0))

    def test_a_folder_from_elsewhere_is_copied_checked_and_registered_with_its_hash(self) -> None:
        folder = small_base_folder(self.elsewhere / "downloaded")
        (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"pickle")
        told = self.told_by(
            "add_base_model", str(folder), "--name", "shoes", "--title", "Shoes", "--resolution", "64",
            "--license-note", "ours", "--guidance-scale", "3",
        )  # fmt: skip
        base = BaseModel.objects.get(name="shoes")
        self.assertEqual(base.sha256, base_folder.content_hash(folder))
        self.assertEqual((base.title, base.resolution, base.guidance_scale), ("Shoes", 64, 3.0))
        self.assertEqual((base.source, base.location, base.license_note), ("downloaded", "shoes", "ours"))
        self.assertEqual((told["sha256"], told["folder"]), (base.sha256, "shoes"))
        self.assertEqual(set(told["parameters"]), {"unet", "vae", "text_encoder"})
        self.assertEqual(base_folder.files_in(base.path), sorted(base_folder.check_folder(folder)))
        self.assertEqual(self.names_in_models_dir(), ["shoes"])
        self.assertEqual(self.code_of("add_base_model", str(folder), "--name", "shoes"), 2)
        self.assertIn("there is a base model named 'shoes' already", self.words)

    def test_a_folder_that_lies_in_models_dir_stays_where_it_is(self) -> None:
        folder = small_base_folder(self.models / "from-the-operator")
        before = {file: (folder / file).stat().st_mtime_ns for file in base_folder.files_in(folder)}
        self.told_by("add_base_model", str(folder), "--name", "shoes")
        self.assertEqual(BaseModel.objects.get(name="shoes").path, folder)
        self.assertEqual({file: (folder / file).stat().st_mtime_ns for file in base_folder.files_in(folder)}, before)
        self.assertEqual(self.code_of("add_base_model", str(folder), "--name", "again"), 2)
        self.assertIn("'from-the-operator' of MODELS_DIR is the base model 'shoes' already", self.words)

    def test_what_only_the_engine_can_see_ends_with_its_sentence_and_leaves_nothing(self) -> None:
        folder = hollow_base_folder(self.elsewhere / "hollow")
        self.assertEqual(self.code_of("add_base_model", str(folder), "--name", "shoes"), 4)
        self.assertRegex(self.words, r"'shoes' is not complete: unet/\S+ lacks \d+ tensors")
        self.assertEqual((self.names_in_models_dir(), BaseModel.objects.filter(name="shoes").count()), ([], 0))

    def test_what_is_stopped_leaves_nothing_and_neither_does_what_was_killed_before(self) -> None:
        abandoned = self.models / ".adding-00000000-0000-0000-0000-000000000000" / "sd15"
        abandoned.mkdir(parents=True)
        stopper = threading.Thread(target=self._cancel_when_weights_flow)
        stopper.start()
        self.assertEqual(self.code_of("make_base_model", "--random"), 130)
        stopper.join()
        self.assertEqual(self.stopped_at, "running")
        self.assertEqual((self.names_in_models_dir(), BaseModel.objects.filter(family="sd15").count()), ([], 0))

    def _cancel_when_weights_flow(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not list(self.models.glob(".adding-*/sd15-random/unet/*.safetensors")):
            time.sleep(0.05)
        job = Job.objects.get()
        self.stopped_at = job.state
        queue.request_cancel(job)
        connections.close_all()

    def test_two_who_take_the_same_name_at_once_make_one_base_model(self) -> None:
        folder = small_base_folder(self.elsewhere / "one")
        new = base_models.NewBase("shoes", "sd15", base_models.FOLDER, "one", source=str(folder))
        jobs = [base_models.add_base_model(self.alice, new) for _ in range(2)]
        for job in jobs:
            claim = queue.claim(job.lane, only=job)
            assert claim
            run(claim)
            job.refresh_from_db()
        self.assertEqual([job.state for job in jobs], ["succeeded", "failed"])
        self.assertEqual((self.names_in_models_dir(), BaseModel.objects.filter(name="shoes").count()), (["shoes"], 1))
        self.assertEqual(BaseModel.objects.get(name="shoes").sha256, base_folder.content_hash(self.models / "shoes"))


class HubTests(Commands, TransactionTestCase):
    """With the hub's real client, and a small hub on this machine."""

    def setUp(self) -> None:
        self.make_people()
        super().setUp()
        self.enterContext(patch.object(terminal, "NOBODY_CLAIMS_SECONDS", 0.0))
        self.enterContext(patch("huggingface_hub.constants.HF_HUB_CACHE", str(self.elsewhere / "hub")))

    @contextmanager
    def hub(self, repository: str, folder: Path) -> Iterator[FakeHub]:
        with FakeHub(repository, folder) as hub:
            template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
            with (
                patch("huggingface_hub.constants.ENDPOINT", hub.url),
                patch("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template),
                patch("huggingface_hub.hf_api.ENDPOINT", hub.url, create=True),
            ):
                yield hub

    def test_the_old_name_of_sd15_fetches_its_successor_at_a_pinned_commit_and_only_what_it_needs(self) -> None:
        folder = small_base_folder(self.elsewhere / "repository")
        for name in ("unet/diffusion_pytorch_model.bin", "unet/model.py", "v1-5-pruned.ckpt", "README.md"):
            (folder / name).write_bytes(b"not needed")
        with self.hub("stable-diffusion-v1-5/stable-diffusion-v1-5", folder) as hub:
            self.told_by("add_base_model", "runwayml/stable-diffusion-v1-5", "--resolution", "64")
            self.assertEqual(sorted(hub.served), sorted(base_folder.check_folder(folder)))
        base = BaseModel.objects.get(name="sd15")
        self.assertEqual(base.source, f"stable-diffusion-v1-5/stable-diffusion-v1-5@{hub.commit}")
        self.assertEqual((base.title, base.license_note), ("Stable Diffusion 1.5", "CreativeML Open RAIL-M"))
        self.assertEqual(base.sha256, base_folder.content_hash(folder))
        self.assertFalse([path for path in base.path.rglob("*") if path.is_symlink()])

        with self.unreachable():  # what was fetched before needs no hub
            self.told_by("add_base_model", "runwayml/stable-diffusion-v1-5", "--name", "again")
        self.assertEqual(BaseModel.objects.get(name="again").sha256, base.sha256)

    def test_what_does_not_fit_is_not_fetched(self) -> None:
        folder = hollow_base_folder(self.elsewhere / "repository")
        config = folder / "unet" / "config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), "cross_attention_dim": 1024}))
        with self.hub("someone/sd2", folder) as hub:
            self.assertEqual(self.code_of("add_base_model", "someone/sd2", "--name", "sd2"), 4)
            self.assertIn("is not sd15: its UNet reads texts of width 1024, which is sd2", self.words)
            self.assertFalse([name for name in hub.served if name.endswith(".safetensors")])
            self.assertEqual(self.code_of("add_base_model", "someone/else", "--name", "other"), 1)
            self.assertIn("There is no public model someone/else on the hub", self.words)
            self.assertEqual(self.code_of("add_base_model", "someone/sd2", "--name", "x", "--revision", "v9"), 1)
            self.assertIn("--revision: someone/sd2 has no revision 'v9' on the hub", self.words)

    def test_a_hub_that_cannot_be_reached_says_what_to_do_instead(self) -> None:
        with self.unreachable():
            self.assertEqual(self.code_of("add_base_model", "runwayml/stable-diffusion-v1-5"), 1)
        self.assertIn("The hub cannot be reached for stable-diffusion-v1-5/stable-diffusion-v1-5", self.words)
        self.assertIn("Run this command where there is internet", self.words)
        self.assertIn("manage.py add_base_model FOLDER_OR_FILE --name NAME", self.words)
        self.assertEqual((Job.objects.count(), self.names_in_models_dir()), (0, []))

    def unreachable(self) -> Any:
        return patch("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # the discard port


