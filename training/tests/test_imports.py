"""import_lora: three formats through the strict gate, and whose the LoRA is then."""

from __future__ import annotations

import json
import tempfile
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.management import CommandError, call_command
from django.test import override_settings

from shoesai import files
from shoesai.engine.lora_formats import lora_files, parse_lora, read_lora
from shoesai.engine.lora_header import read_lora_header
from shoesai.engine.tests.bad_loras import BAD_FILES, OF_ANOTHER_BASE
from shoesai.models import Blob
from shoesai.testing import BaseTestCase, starter
from training.catalogue import UnknownModel, find_checkpoint, list_models
from training.imports import new_imported_run
from training.models import BaseModel, Checkpoint, Family, TrainingRun
from training.scan import scan
from training.tests.loras import kohya_lora, lora_bytes, peft_lora, starter_lora


class ImportCase(BaseTestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)
        starter()

    def put(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def peft_folder(self, **settings: int) -> Path:
        for name, data in peft_lora(**settings).items():
            self.put(f"adapter/{name}", data)
        return self.folder / "adapter"

    def import_it(self, path: Path, *options: str, name: str = "bought", user: str = "alice") -> Any:
        out = StringIO()
        call_command("import_lora", str(path), "--name", name, *options, "--json", "--user", user, stdout=out)
        return json.loads(out.getvalue())

    def code_of(self, path: Path, *options: str, name: str = "bought") -> int:
        with self.assertRaises(CommandError) as caught:
            self.import_it(path, *options, name=name)
        self.words = str(caught.exception)
        return caught.exception.returncode

    def assert_nothing_is_stored(self) -> None:
        self.assertFalse(TrainingRun.objects.exists() or Checkpoint.objects.exists() or Blob.objects.exists())


class ImportTest(ImportCase):
    def test_a_kohya_file_is_registered_and_keeps_its_bytes(self) -> None:
        data = kohya_lora(metadata={"ss_steps": "1500"})
        told = self.import_it(self.put("shoes.safetensors", data), "--trigger-words", "sks shoe")
        self.assertEqual(told["model"], "bought/checkpoint-1500")
        self.assertEqual((told["base_model"], told["format"]), ("starter", "kohya"))
        self.assertEqual((told["rank"], told["alpha"], told["scale"]), (8, 16, 2))
        checkpoint = find_checkpoint(self.alice, "bought/checkpoint-1500")
        self.assertEqual(files.read(checkpoint.blob), data)
        self.assertEqual((checkpoint.rank, checkpoint.lora_alpha, checkpoint.family), (8, 16, "starter"))
        run = checkpoint.run
        self.assertEqual((run.state, run.owner, run.team), ("imported", self.alice, self.team))
        self.assertEqual((run.spec, run.base_model.name), ({"trigger_words": "sks shoe"}, "starter"))

    def test_a_diffusers_file_keeps_its_bytes_and_its_step(self) -> None:
        path = self.put("pytorch_lora_weights.safetensors", starter_lora(step=40))
        for name, source in (("one", path), ("two", path.parent)):
            self.assertEqual(self.import_it(source, name=name)["model"], f"{name}/checkpoint-40")
            checkpoint = find_checkpoint(self.alice, f"{name}/checkpoint-40")
            self.assertEqual(files.read(checkpoint.blob), starter_lora(step=40))

    def test_a_peft_folder_comes_in_as_diffusers_with_its_alpha(self) -> None:
        self.assertEqual(self.import_it(self.peft_folder(), "--step", "7")["format"], "peft")
        checkpoint = find_checkpoint(self.alice, "bought/checkpoint-7")
        header = read_lora_header(files.path_of(checkpoint.blob_id))
        self.assertEqual((header.form, header.rank, header.alpha), ("diffusers", 8, 16))
        kept, given = parse_lora(files.read(checkpoint.blob)), read_lora(self.folder / "adapter")
        self.assertEqual(kept.modules.keys(), given.modules.keys())
        self.assertTrue(all(kept.modules[name] == matrices for name, matrices in given.modules.items()))

    def test_a_peft_folder_without_its_configuration_is_refused_with_the_remedy(self) -> None:
        folder = self.peft_folder()
        (folder / "adapter_config.json").unlink()
        for path in (folder, folder / "adapter_model.safetensors"):
            self.assertEqual(self.code_of(path), 4)
            self.assertIn("adapter_config.json", self.words)
            self.assertRegex(self.words, "add it|put that file beside it")
        self.assert_nothing_is_stored()

    def test_what_it_says_of_itself_is_the_default(self) -> None:
        metadata = {"modelspec.trigger_phrase": "red sole", "ss_steps": "not a number"}
        told = self.import_it(self.put("casual_3000steps.safetensors", kohya_lora(metadata=metadata)))
        self.assertEqual((told["step"], told["trigger_words"]), (3000, "red sole"))

    def test_words_of_a_stranger_that_are_no_line_are_not_taken_over(self) -> None:
        path = self.put("a.safetensors", kohya_lora(metadata={"modelspec.trigger_phrase": "x\n" * 900}))
        self.assertEqual(self.import_it(path)["trigger_words"], "")
        self.assertEqual(self.code_of(path, "--trigger-words", "two\nlines", name="other"), 2)

    def test_a_dry_run_judges_and_stores_nothing(self) -> None:
        told = self.import_it(self.put("a.safetensors", kohya_lora()), "--dry-run")
        self.assertEqual((told["model"], told["dry_run"]), ("bought/checkpoint-0", True))
        self.assert_nothing_is_stored()

    def test_settings_that_cannot_be_meant_are_refused(self) -> None:
        path = self.put("a.safetensors", kohya_lora())
        self.assertEqual(self.code_of(self.folder / "nowhere"), 3)
        self.assertEqual(self.code_of(path, "--base", "nowhere"), 3)
        self.assertEqual(self.code_of(path, "--step", "-1"), 2)
        self.assertEqual(self.code_of(path, name="a/b"), 2)
        self.import_it(path, name="taken")
        self.assertEqual(self.code_of(path, name="taken"), 2)
        self.assertIn("choose another", self.words)


class GateTest(ImportCase):
    def test_every_bad_file_is_refused_with_its_reason_and_leaves_nothing(self) -> None:
        self.assertGreater(len(BAD_FILES), 20)
        for what, (make, words) in BAD_FILES.items():
            with self.subTest(what):
                self.assertEqual(self.code_of(self.put("bad.safetensors", make())), 4)
                self.assertIn(words, self.words)
                self.assertTrue(self.words.startswith("bad.safetensors: "), self.words)
                self.assertNotIn(str(self.folder), self.words)
        self.assert_nothing_is_stored()

    def test_a_lora_of_another_base_is_refused_with_the_module(self) -> None:
        for what, (make, words) in OF_ANOTHER_BASE.items():
            with self.subTest(what):
                self.assertEqual(self.code_of(self.put("other.safetensors", make()), "--base", "starter"), 4)
                self.assertIn(words, self.words)
        self.assert_nothing_is_stored()

    def test_without_a_base_that_it_fits_the_next_step_is_named(self) -> None:
        self.assertEqual(self.code_of(self.put("sd15.safetensors", lora_bytes())), 4)
        self.assertIn("is for sd15 and fits none of the base models that are here (starter)", self.words)
        self.assertIn("add_base_model", self.words)

    def test_a_base_whose_files_are_gone_is_not_guessed_at(self) -> None:
        BaseModel.objects.create(name="gone", title="Gone", family=Family.SD15, location="gone")
        self.assertEqual(self.code_of(self.put("a.safetensors", lora_bytes()), "--base", "gone"), 4)
        self.assertIn("does not fit the base model gone: the base model's files cannot be read", self.words)

    def test_a_pickle_by_any_name_is_refused(self) -> None:
        self.assertEqual(self.code_of(self.put("lora.pt", b"\x80\x04\x95pickle")), 4)


class WhoseTest(ImportCase):
    def test_what_alice_imports_is_hers_and_her_teams(self) -> None:
        self.import_it(self.put("a.safetensors", kohya_lora()))
        for person in (self.alice, self.bob):
            self.assertEqual(find_checkpoint(person, "bought/checkpoint-0").step, 0)
        with self.assertRaises(UnknownModel):
            find_checkpoint(self.charlie, "bought/checkpoint-0")
        self.assertEqual([row["name"] for row in list_models(self.charlie)], ["starter"])

    def test_what_was_imported_before_there_were_two_ways_stays_everybodys(self) -> None:
        run = new_imported_run(self.alice, "found", starter())
        import_module("training.migrations.0004_shared_runs").share_what_was_found(apps, None)
        self.assertIn(run, TrainingRun.objects.visible_to(self.charlie))

    def test_a_folder_of_that_name_in_models_dir_does_not_open_it_to_everybody(self) -> None:
        self.import_it(self.put("a.safetensors", kohya_lora()))
        folder = self.folder / "models" / "bought" / "checkpoints" / "checkpoint-1"
        folder.mkdir(parents=True)
        (folder / "a.safetensors").write_bytes(lora_bytes(text_width=192))
        with override_settings(MODELS_DIR=self.folder / "models"):
            [problem] = scan(self.charlie).problems
        self.assertIn("rename this folder", problem.problem)
        self.assertEqual(TrainingRun.objects.get().checkpoints.count(), 1)
        self.assertFalse(TrainingRun.objects.get().shared)

    def test_our_own_file_in_kohya_form_is_the_same_checkpoint_again(self) -> None:
        """The renaming carries what it cannot say, so that one LoRA has one hash, whatever way it took."""
        (as_kohya,) = lora_files(parse_lora(starter_lora()), "kohya").values()
        self.import_it(self.put("a.safetensors", as_kohya))
        (back,) = lora_files(parse_lora(as_kohya), "diffusers").values()
        self.assertEqual(back, starter_lora())
