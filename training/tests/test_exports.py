"""A checkpoint in every format: complete, at the right scale, the same bytes each time, and nobody else's."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import zipfile
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from django.core.management import CommandError, call_command
from safetensors.numpy import load

from shoesai import files
from shoesai.engine.lora_formats import lora_files, parse_lora
from shoesai.models import Job
from shoesai.testing import BaseTestCase, png_bytes, starter
from training.exports import FORMATS, Download, download, files_of
from training.models import BaseModel, Checkpoint, TrainingMetric, TrainingRun, ValidationLoss
from training.results import keep_checkpoint, keep_validation_image
from training.scan import scan
from training.tests.loras import kohya_lora, starter_lora
from training.tests.runs import queued_run

MODULE = "mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
HOSTILE = "red shoe\n---\nlicense: mit\n`<script>alert(1)</script>` | # \"quoted\" [a](javascript:b)"


def metadata_of(data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:8], "little")
    found: dict[str, str] = json.loads(data[8 : 8 + length])["__metadata__"]
    return found


def unzipped(made: Download) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(made.data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


class ExportCase(BaseTestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)

    def trained(self, name: str = "spring", **spec: Any) -> Checkpoint:
        run = queued_run(self.alice, name, trigger_words="sks shoe", learning_rate=2e-4, **spec)
        event = {"step": 40, "rank": 8, "lora_alpha": 16, "validation_loss": 0.125}
        checkpoint = keep_checkpoint(run, event, starter_lora())
        for seq, prompt in enumerate(("red shoe", HOSTILE)):
            image = {"step": 40, "seq": seq, "prompt": prompt, "seed": 2**63 + seq}
            keep_validation_image(run, image, png_bytes("red" if seq else "blue"))
        run.refresh_from_db()
        return checkpoint

    def told_by(self, command: str, *options: str, user: str = "alice") -> Any:
        out = StringIO()
        call_command(command, *options, "--json", "--user", user, "-v", "0", stdout=out)
        return json.loads(out.getvalue())

    def code_of(self, command: str, *options: str, user: str = "alice") -> int:
        with self.assertRaises(CommandError) as caught:
            self.told_by(command, *options, user=user)
        self.words = str(caught.exception)
        return caught.exception.returncode


class FormatsTest(ExportCase):
    def test_diffusers_is_the_checkpoint_itself(self) -> None:
        made = download(self.trained(), "diffusers")
        self.assertEqual(made.file_name, "spring_checkpoint-40_diffusers.safetensors")
        self.assertEqual((made.mime, made.data), ("application/x-safetensors", starter_lora()))

    def test_kohya_says_its_alpha_and_what_lora_browsers_show(self) -> None:
        checkpoint = self.trained()
        made = download(checkpoint, "kohya")
        self.assertEqual(made.file_name, "spring_checkpoint-40_kohya.safetensors")
        tensors = load(made.data)
        self.assertEqual(float(tensors[f"lora_unet_{MODULE}.alpha"]), 16)
        self.assertEqual(tensors[f"lora_unet_{MODULE}.lora_down.weight"].shape, (8, 192))
        said = metadata_of(made.data)
        for key, value in {
            "ss_network_module": "networks.lora", "ss_network_dim": "8", "ss_network_alpha": "16.0",
            "ss_base_model_version": "shoesai_starter", "ss_sd_model_name": "starter", "ss_learning_rate": "0.0002",
            "ss_max_train_steps": "100", "ss_steps": "40", "ss_num_train_images": "6", "ss_batch_size_per_device": "2",
            "ss_gradient_accumulation_steps": "8", "ss_total_batch_size": "16", "ss_resolution": "(128, 128)",
            "ss_seed": "42", "ss_output_name": "spring", "ss_lr_scheduler": "constant",
            "modelspec.sai_model_spec": "1.0.0", "modelspec.architecture": "shoesai-starter/lora",
            "modelspec.title": "spring, step 40", "modelspec.trigger_phrase": "sks shoe",
            "modelspec.resolution": "128x128", "modelspec.prediction_type": "v",
            "modelspec.implementation": "diffusers",
        }.items():  # fmt: skip
            self.assertEqual(said.get(key), value, key)
        self.assertEqual(json.loads(said["ss_tag_frequency"])["casual"]["sks shoe"], 6)
        self.assertIn("shoe 3", json.loads(said["ss_tag_frequency"])["casual"])
        self.assertGreater(float(said["ss_training_finished_at"]), 1.7e9)
        self.assertNotIn("lora_adapter_metadata", said)  # diffusers refuses a file that says its alpha twice

    def test_the_hash_in_a_kohya_file_is_that_of_its_tensors(self) -> None:
        data = download(self.trained(), "kohya").data
        tensors = data[8 + int.from_bytes(data[:8], "little") :]
        digest = hashlib.sha256(tensors).hexdigest()
        self.assertEqual(metadata_of(data)["modelspec.hash_sha256"], f"0x{digest}")
        self.assertEqual(metadata_of(data)["sshs_model_hash"], digest)

    def test_stable_diffusion_15_has_the_names_that_everybody_knows(self) -> None:
        checkpoint = self.trained()
        base = BaseModel.objects.create(
            name="sd15", title="Stable Diffusion 1.5", family="sd15", location="sd15", sha256="ab" * 32,
            source="stable-diffusion-v1-5/stable-diffusion-v1-5@abc", license_note="CreativeML Open RAIL-M",
        )  # fmt: skip
        TrainingRun.objects.update(base_model=base, family="sd15")
        checkpoint.refresh_from_db()
        said = metadata_of(download(checkpoint, "kohya").data)
        self.assertEqual(said["modelspec.architecture"], "stable-diffusion-v1/lora")
        self.assertEqual(said["ss_base_model_version"], "sd_v1")
        self.assertEqual(said["ss_sd_model_name"], "stable-diffusion-v1-5/stable-diffusion-v1-5")
        self.assertEqual(said["modelspec.license"], "CreativeML Open RAIL-M")
        front = self.front_matter(files_of(checkpoint, "hub")["README.md"])
        self.assertEqual(front["base_model"], "stable-diffusion-v1-5/stable-diffusion-v1-5")
        self.assertEqual(front["license_name"], "CreativeML Open RAIL-M")

    def test_the_kohya_download_turns_back_into_the_very_checkpoint(self) -> None:
        checkpoint = self.trained()
        (back,) = lora_files(parse_lora(download(checkpoint, "kohya").data), "diffusers").values()
        self.assertEqual(hashlib.sha256(back).hexdigest(), checkpoint.blob_id)

    def test_peft_is_a_folder_in_a_zip(self) -> None:
        made = download(self.trained(), "peft")
        self.assertEqual((made.file_name, made.mime), ("spring_checkpoint-40_peft.zip", "application/zip"))
        inside = unzipped(made)
        folder = "spring_checkpoint-40"
        self.assertEqual(sorted(inside), [f"{folder}/adapter_config.json", f"{folder}/adapter_model.safetensors"])
        config = json.loads(inside[f"{folder}/adapter_config.json"])
        self.assertEqual((config["r"], config["lora_alpha"], config["peft_type"]), (8, 16, "LORA"))

    def front_matter(self, card: bytes) -> dict[str, Any]:
        nothing, front, _ = card.decode().split("---\n", 2)
        self.assertEqual(nothing, "")
        found: dict[str, Any] = yaml.safe_load(front)
        return found

    def test_the_hub_folder_has_a_card_with_recipe_data_licence_and_pictures(self) -> None:
        checkpoint = self.trained()
        made = files_of(checkpoint, "hub")
        pictures = [f"images/{seq:02d}_seed{2**63 + seq}.png" for seq in (0, 1)]
        self.assertEqual(sorted(made), ["README.md", *pictures, "pytorch_lora_weights.safetensors"])
        front = self.front_matter(made["README.md"])
        self.assertEqual((front["instance_prompt"], front["library_name"]), ("sks shoe", "diffusers"))
        self.assertIn("lora", front["tags"])
        self.assertEqual([row["output"]["url"] for row in front["widget"]], pictures)
        self.assertNotIn("base_model", front)  # only a name of the hub means anything there
        card = made["README.md"].decode()
        version = checkpoint.run.dataset_version
        assert version
        for words in ("a scale of 2", "learning\\_rate | 0.0002", "casual, version 1", version.content_hash,
                      "0.12500", "Of the photos, nothing is recorded here"):  # fmt: skip
            self.assertIn(words, card)

    def test_a_hostile_prompt_breaks_neither_the_front_matter_nor_the_page(self) -> None:
        card = files_of(self.trained(), "hub")["README.md"]
        front = self.front_matter(card)
        self.assertEqual(front["widget"][1]["text"], HOSTILE)
        self.assertEqual(front["license"], "other")
        body = card.decode().split("---\n", 2)[2]
        self.assertNotIn("![red shoe\n", body)
        outside_code = "".join(body.split("``")[::2])
        self.assertNotIn("<script>", outside_code)

    def test_every_format_is_the_same_bytes_each_time_and_names_no_place_of_this_machine(self) -> None:
        checkpoint = self.trained()
        places = [str(place).encode() for place in (settings.DATA_DIR, settings.BASE_DIR, Path.home())]
        for format in FORMATS:
            with self.subTest(format):
                made = download(checkpoint, format)
                self.assertEqual(made, download(checkpoint, format))
                content = unzipped(made).values() if made.mime == "application/zip" else [made.data]
                self.assertFalse([place for place in places for data in content if place in data])

    def test_an_imported_kohya_file_goes_out_as_it_came_and_in_the_other_formats_too(self) -> None:
        data = kohya_lora(metadata={"ss_network_module": "networks.lora"})
        path = self.folder / "a.safetensors"
        path.write_bytes(data)
        starter()
        self.told_by("import_lora", str(path), "--name", "bought")
        checkpoint = Checkpoint.objects.get()
        self.assertEqual(download(checkpoint, "kohya").data, data)
        as_diffusers = download(checkpoint, "diffusers").data
        self.assertEqual(json.loads(metadata_of(as_diffusers)["lora_adapter_metadata"])["unet.lora_alpha"], 16)
        self.assertEqual(lora_files(parse_lora(as_diffusers), "kohya"), {"lora.safetensors": data})
        self.assertIn("README.md", files_of(checkpoint, "hub"))


class ConvertLoraTest(ExportCase):
    def test_a_file_goes_round_by_the_command_and_comes_back_the_same(self) -> None:
        source = self.folder / "mine.safetensors"
        source.write_bytes(starter_lora())
        kohya, adapter, back = (self.folder / name for name in ("kohya.safetensors", "adapter", "back.safetensors"))
        self.told_by("convert_lora", str(source), "--to", "kohya", "--out", str(kohya))
        told = self.told_by("convert_lora", str(kohya), "--to", "peft", "--out", str(adapter))
        self.assertEqual((told["from"], told["to"], told["alpha"], told["scale"]), ("kohya", "peft", 16, 2))
        self.told_by("convert_lora", str(adapter), "--to", "diffusers", "--out", str(back))
        self.assertEqual(back.read_bytes(), starter_lora())

    def test_a_checkpoint_is_written_as_it_would_be_downloaded(self) -> None:
        checkpoint = self.trained()
        out = self.folder / "out"
        out.mkdir()
        told = self.told_by("convert_lora", checkpoint.name, "--to", "kohya", "--out", str(out))
        self.assertEqual(told["files"], [str(out / "spring_checkpoint-40_kohya.safetensors")])
        self.assertEqual(Path(told["files"][0]).read_bytes(), download(checkpoint, "kohya").data)

    def test_diffusers_without_a_file_name_is_a_folder_as_diffusers_loads_it(self) -> None:
        out = self.folder / "lora"
        told = self.told_by("convert_lora", self.trained().name, "--to", "diffusers", "--out", str(out))
        self.assertEqual(told["files"], [str(out / "pytorch_lora_weights.safetensors")])
        again = self.told_by("convert_lora", str(out), "--to", "kohya", "--out", str(self.folder / "k.safetensors"))
        self.assertEqual((again["from"], again["scale"]), ("diffusers", 2))

    def test_a_dry_run_writes_nothing(self) -> None:
        out = self.folder / "a.safetensors"
        told = self.told_by("convert_lora", self.trained().name, "--to", "kohya", "--out", str(out), "--dry-run")
        self.assertEqual((told["files"], out.exists()), ([str(out)], False))

    def test_what_is_not_there_is_3_what_is_no_lora_4_and_a_file_for_a_folder_2(self) -> None:
        out = ("--out", str(self.folder / "out.safetensors"))
        self.assertEqual(self.code_of("convert_lora", "nowhere/checkpoint-1", "--to", "kohya", *out), 3)
        bad = self.folder / "bad.safetensors"
        bad.write_bytes(b"hello, I am no LoRA")
        self.assertEqual(self.code_of("convert_lora", str(bad), "--to", "kohya", *out), 4)
        self.assertEqual(self.code_of("convert_lora", self.trained().name, "--to", "peft", *out), 2)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["bad.safetensors"])

    def test_a_place_that_cannot_be_written_is_named(self) -> None:
        (self.folder / "file").write_text("in the way")
        out = str(self.folder / "file" / "a.safetensors")
        self.assertEqual(self.code_of("convert_lora", self.trained().name, "--to", "kohya", "--out", out), 1)
        self.assertIn("--out", self.words)


class ExportRunTest(ExportCase):
    def export(self, run: TrainingRun, *options: str) -> dict[str, bytes]:
        to = self.folder / "spring"
        self.told_by("export_run", run.name, "--to", str(to), "--no-final-pipeline", *options)
        return {path.relative_to(to).as_posix(): path.read_bytes() for path in to.rglob("*") if path.is_file()}

    def test_it_has_the_first_products_layout_with_spec_and_metrics(self) -> None:
        run = self.trained().run
        TrainingMetric.objects.create(
            run=run, step=10, loss=0.5, learning_rate=1e-4, grad_norm=0.9, seconds=1.5, memory_bytes=7
        )
        for step, loss in ((0, 0.75), (10, 0.25)):
            ValidationLoss.objects.create(run=run, step=step, loss=loss, photos=1)
        written = self.export(run)
        weights = "pytorch_lora_weights.safetensors"
        self.assertEqual(
            sorted(written),
            [f"checkpoints/checkpoint-40/{weights}", f"lora_weights/{weights}", "metrics.jsonl", "spec.json",
             f"validation/step-000040_0_seed{2**63}.png", f"validation/step-000040_1_seed{2**63 + 1}.png"],
        )  # fmt: skip
        self.assertEqual(written[f"lora_weights/{weights}"], starter_lora())
        self.assertEqual(json.loads(written["spec.json"]), run.spec)
        self.assertEqual(
            [json.loads(line) for line in written["metrics.jsonl"].splitlines()],
            [
                {"step": 0, "validation_loss": 0.75},
                {"step": 10, "loss": 0.5, "learning_rate": 1e-4, "grad_norm": 0.9, "seconds": 1.5, "memory_bytes": 7},
                {"step": 10, "validation_loss": 0.25},
            ],
        )

    def test_a_second_export_replaces_its_own_files_and_leaves_others(self) -> None:
        run = self.trained().run
        self.export(run)
        (self.folder / "spring" / "notes.txt").write_text("mine")
        (self.folder / "spring" / "spec.json").write_text("old")
        written = self.export(run)
        self.assertEqual((written["notes.txt"], json.loads(written["spec.json"])), (b"mine", run.spec))

    def test_what_was_exported_is_found_by_a_scan_on_another_machine(self) -> None:
        run = self.trained().run
        self.export(run)
        run.delete()
        with self.settings(MODELS_DIR=self.folder):
            self.assertEqual(scan(self.charlie).registered, ["spring/checkpoint-40"])

    def test_a_dry_run_lists_the_files_and_writes_none(self) -> None:
        self.trained()
        told = self.told_by("export_run", "spring", "--to", str(self.folder / "x"), "--dry-run")
        self.assertIn("final_pipeline/", told["files"])
        self.assertFalse((self.folder / "x").exists() or Job.objects.filter(kind="merge_lora").exists())

    def test_what_lies_where_the_pipeline_goes_is_not_swept_away(self) -> None:
        self.trained()
        precious = self.folder / "x" / "final_pipeline"
        precious.mkdir(parents=True)
        (precious / "model_index.json").write_text("{}")
        self.assertEqual(self.code_of("export_run", "spring", "--to", str(self.folder / "x")), 2)
        self.assertIn("choose another place", self.words)
        self.assertEqual([path.name for path in (self.folder / "x").rglob("*")], ["final_pipeline", "model_index.json"])


class PermissionTest(ExportCase):
    def test_charlie_can_neither_export_nor_try_nor_check_what_is_alices(self) -> None:
        name, out = self.trained().name, str(self.folder / "out")
        jobs = Job.objects.count()
        for command, *options in (
            ("convert_lora", name, "--to", "kohya", "--out", out),
            ("convert_checkpoint", name, "--out", out),
            ("convert_checkpoint", "--all", "spring", "--out", out),
            ("check_checkpoint", name),
            ("try_checkpoint", name, "--out", out),
            ("export_run", "spring", "--to", out),
        ):
            with self.subTest(command):
                self.assertEqual(self.code_of(command, *options, user="charlie"), 3)
        self.assertFalse(Path(out).exists())
        self.assertEqual(Job.objects.count(), jobs)

    def test_bob_of_the_same_team_can(self) -> None:
        name, out = self.trained().name, self.folder / "kohya.safetensors"
        self.told_by("convert_lora", name, "--to", "kohya", "--out", str(out), user="bob")
        self.told_by("export_run", "spring", "--to", str(self.folder / "x"), "--no-final-pipeline", user="bob")
        self.assertTrue(out.is_file() and (self.folder / "x" / "spec.json").is_file())

    def test_a_checkpoint_whose_bytes_are_damaged_is_not_exported(self) -> None:
        checkpoint = self.trained()
        path = files.path_of(checkpoint.blob_id)
        whole = path.read_bytes()
        self.addCleanup(path.write_bytes, whole)
        path.write_bytes(whole[:-1])
        self.assertEqual(
            self.code_of("convert_lora", checkpoint.name, "--to", "kohya", "--out", str(self.folder / "a")), 4
        )
        self.assertIn("cut off", self.words)
