from __future__ import annotations

import io
import uuid
import zipfile
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from django.test import override_settings
from safetensors.numpy import load

from shoesai import files
from shoesai.engine.specs import MAX_VALIDATION_PROMPTS, TrainSpec
from shoesai.jobs import queue
from shoesai.models import Job
from shoesai.testing import BaseTestCase, starter
from shoesai.tests.api_client import client_of, fields_of
from training import results
from training.models import Dataset, TrainingRun
from training.services import cancel_training, pause_training
from training.tests.loras import starter_lora
from training.tests.runs import kept_checkpoint, kept_state, photos_version, queued_run, taken

WANTED = {"name": "spring", "dataset": "casual", "max_train_steps": 60, "checkpointing_steps": 20}
NO_DISK = SimpleNamespace(total=10, used=9, free=1)
METRIC = {"learning_rate": 1e-4, "grad_norm": 0.5, "seconds": 0.25, "memory_bytes": 3_000_000_000}


def kind_of(response: Any) -> tuple[int, str]:
    """Status and problem type of a refusal."""
    return response.status_code, response.json()["type"].rpartition(":")[2]


class StartTests(BaseTestCase):
    def setUp(self) -> None:
        self.api = client_of(self.alice)
        self.version = photos_version(self.alice)
        starter()

    def post(self, headers: dict[str, str] | None = None, **changed: Any) -> Any:
        body = {name: value for name, value in {**WANTED, **changed}.items() if value is not ...}
        return self.api.post("/api/runs", body, content_type="application/json", headers=headers)

    def test_a_run_is_made_and_waits(self) -> None:
        response = self.post(learning_rate=0.001, notify=True, lora_targets=["to_q", "to_v"])
        self.assertEqual(response.status_code, 201, response.content)
        run = TrainingRun.objects.get()
        told = response.json()
        self.assertEqual((response["Location"], told["url"]), (f"/api/runs/{run.pk}", f"/api/runs/{run.pk}"))
        self.assertEqual((told["state"], told["step"], told["total"]), ("queued", 0, 60))
        self.assertEqual((told["job"]["state"], told["job"]["kind"]), ("queued", "train"))
        self.assertEqual((run.owner, run.team, run.notify), (self.alice, self.team, True))
        self.assertEqual(run.dataset_version, self.version)
        self.assertEqual(told["spec"], TrainSpec.from_dict(run.spec).to_dict() | {
            "lora_targets": ["to_q", "to_v"], "validation_prompts": told["spec"]["validation_prompts"],
            "validation_seeds": [],
        })  # fmt: skip
        self.assertEqual(told["spec"]["learning_rate"], 0.001)

    def test_what_is_left_out_fits_base_steps_and_photos(self) -> None:
        spec = self.post().json()["spec"]
        self.assertEqual((spec["resolution"], spec["validation_guidance_scale"]), (128, 3.0))
        self.assertEqual((spec["lr_warmup_steps"], spec["rank"], spec["seed"]), (10, 8, 42))
        self.assertEqual(len(spec["validation_prompts"]), 1)  # of six photos one is held out
        self.assertRegex(spec["validation_prompts"][0], r"shoe \d")
        self.assertEqual(self.post(name="bare", validation_steps=0).json()["spec"]["validation_prompts"], [])

    def test_a_preset_is_where_a_recipe_begins(self) -> None:
        spec = self.post(preset="high_quality", max_train_steps=..., checkpointing_steps=...).json()["spec"]
        self.assertEqual((spec["rank"], spec["max_train_steps"], spec["snr_gamma"]), (16, 600, 5.0))

    def test_a_parent_gives_what_is_left_out(self) -> None:
        first = self.post(learning_rate=0.002, seed=7).json()
        body = {"name": "summer", "parent": first["id"], "rank": 4}
        response = self.api.post("/api/runs", body, content_type="application/json")
        self.assertEqual(response.status_code, 201, response.content)
        told = response.json()
        self.assertEqual(told["spec"], {**first["spec"], "rank": 4})
        self.assertEqual((told["parent"], told["dataset"]), (first["id"], first["dataset"]))

    def test_a_parent_gives_no_photos_that_only_its_owner_may_use(self) -> None:
        parent = self.post().json()["id"]
        Dataset.objects.update(team=None)
        self.api = client_of(self.bob)
        refused = self.post(name="summer", parent=parent, dataset=...)
        self.assertEqual((refused.status_code, list(fields_of(refused))), (400, ["dataset"]))
        self.assertEqual(TrainingRun.objects.count(), 1)
        photos_version(self.bob, "boots")
        self.assertEqual(self.post(name="summer", parent=parent, dataset="boots").status_code, 201)

    def test_a_dataset_is_named_or_one_of_its_versions_is(self) -> None:
        newer = photos_version(self.alice)
        self.assertEqual(self.post().json()["dataset"]["version_id"], str(newer.pk))
        told = self.post(name="older", dataset=str(self.version.pk)).json()["dataset"]
        self.assertEqual(
            told,
            {
                "name": "casual", "version": 1, "version_id": str(self.version.pk),
                "content_hash": self.version.content_hash, "photos": 6,
            },
        )  # fmt: skip

    def test_the_team_trains_on_shared_photos_and_others_do_not_know_them(self) -> None:
        self.api = client_of(self.bob)
        self.assertEqual(self.post().status_code, 201)
        self.api = client_of(self.charlie)
        for dataset in ("casual", str(self.version.pk)):
            self.assertEqual(list(fields_of(self.post(name="x", dataset=dataset))), ["dataset"])
        parent = str(TrainingRun.objects.get().pk)
        self.assertEqual(list(fields_of(self.post(name="x", parent=parent, dataset=...))), ["parent"])

    def test_as_many_prompts_as_a_recipe_allows_are_taken(self) -> None:
        prompts = [f"shoe {number}" for number in range(MAX_VALIDATION_PROMPTS)]
        self.assertEqual(self.post(validation_prompts=prompts).status_code, 201)

    def test_a_refusal_names_its_field_and_leaves_nothing_behind(self) -> None:
        refused: list[tuple[str, dict[str, Any]]] = [
            ("name", {"name": ...}), ("name", {"name": "a b"}), ("name", {"name": ""}), ("name", {"name": 7}),
            ("name", {"name": "x" * 121}), ("dataset", {"dataset": "nobody's"}), ("dataset", {"dataset": ...}),
            ("dataset", {"dataset": str(uuid.uuid4())}), ("base_model", {"base_model": "sd99"}),
            ("parent", {"parent": str(uuid.uuid4())}), ("parent", {"parent": "me"}), ("preset", {"preset": "best"}),
            ("preset", {"preset": "quick_look", "parent": str(uuid.uuid4())}), ("notify", {"notify": 1}),
            ("max_train_steps", {"max_train_steps": 0}), ("max_train_steps", {"max_train_steps": "60"}),
            ("max_train_steps", {"max_train_steps": 60.0}), ("max_train_steps", {"max_train_steps": True}),
            ("learning_rate", {"learning_rate": 2}), ("learning_rate", {"learning_rate": 0}),
            ("rank", {"rank": 257}), ("resolution", {"resolution": 100}), ("seed", {"seed": -1}),
            ("lr_scheduler", {"lr_scheduler": "polynomial"}), ("lora_targets", {"lora_targets": ["conv"]}),
            ("lora_targets", {"lora_targets": []}), ("lora_targets", {"lora_targets": "to_q"}),
            ("gradient_checkpointing", {"gradient_checkpointing": "yes"}), ("caption_dropout", {"caption_dropout": 1}),
            ("validation_prompts", {"validation_prompts": ["x"] * (MAX_VALIDATION_PROMPTS + 1)}),
            ("validation_prompts", {"validation_prompts": "x"}),
            ("lr_warmup_steps", {"lr_warmup_steps": 61}),
            ("validation_seeds", {"validation_prompts": ["a", "b"], "validation_seeds": [1]}),
            ("validation_prompts", {"validation_prompts": ["a"], "validation_steps": 0}),
            ("masked_loss", {"masked_loss": True, "unmasked_weight": 1.0}),
            ("checkpointing_steps", {"max_train_steps": 500_000, "checkpointing_steps": 1}),
            ("learnig_rate", {"learnig_rate": 0.1}), ("version", {"version": 2}),
        ]  # fmt: skip
        for name, changed in refused:
            with self.subTest(**{name: changed}):
                response = self.post(**changed)
                self.assertEqual(response.status_code, 400, response.content)
                self.assertEqual([field.partition("[")[0] for field in fields_of(response)], [name])
        self.assertFalse(TrainingRun.objects.exists() or Job.objects.exists())

    def test_two_settings_that_disagree_are_both_named(self) -> None:
        words = fields_of(self.post(lr_warmup_steps=61))["lr_warmup_steps"]
        self.assertIn("max_train_steps 60", words)

    def test_a_dataset_without_photos_and_a_full_disk_are_refused_by_the_plan(self) -> None:
        photos_version(self.alice, "empty", photos=0)
        self.assertEqual(list(fields_of(self.post(dataset="empty"))), ["dataset"])
        with patch("shutil.disk_usage", return_value=NO_DISK):
            self.assertRegex(fields_of(self.post())["body"], "disk: the run takes up to .* are free")
        self.assertFalse(TrainingRun.objects.exists())

    def test_a_name_is_taken_once_even_by_somebody_elses_run(self) -> None:
        queued_run(self.charlie, "spring")
        self.assertIn("choose another", fields_of(self.post())["name"])

    def test_who_has_too_many_jobs_is_asked_to_come_again(self) -> None:
        with override_settings(JOB_MAX_QUEUED_PER_USER=0):
            response = self.post()
        self.assertEqual(kind_of(response), (429, "queue-full"))
        self.assertTrue(response["Retry-After"])
        self.assertFalse(TrainingRun.objects.exists())

    def test_the_same_key_is_the_same_run_and_another_request_with_it_is_refused(self) -> None:
        key = {"Idempotency-Key": "order-1"}
        first, again = self.post(key), self.post(key)
        self.assertEqual((first.status_code, again.status_code), (201, 201))
        self.assertEqual(first.json()["id"], again.json()["id"])
        photos_version(self.alice)  # the name means another version now, but the request is the same
        self.assertEqual(self.post(key).json()["id"], first.json()["id"])
        self.assertEqual(kind_of(self.post(key, rank=4)), (422, "idempotency-key-reused"))
        self.assertEqual(list(fields_of(self.post({"Idempotency-Key": "a b"}))), ["Idempotency-Key"])
        self.assertEqual(TrainingRun.objects.count(), 1)

    def test_it_takes_the_scope_train(self) -> None:
        for scopes, status in ((["read", "generate"], 403), (["train"], 201)):
            self.api = client_of(self.alice, *scopes)
            self.assertEqual(self.post().status_code, status)


class RunTests(BaseTestCase):
    def setUp(self) -> None:
        self.api = client_of(self.alice)
        self.run_ = queued_run(self.alice)
        self.url = f"/api/runs/{self.run_.pk}"

    def told(self) -> dict[str, Any]:
        response = self.api.get(self.url)
        self.assertEqual(response.status_code, 200)
        return response.json()

    def test_a_run_tells_where_it_stands_and_what_it_was_made_from(self) -> None:
        claim = taken(self.run_)
        with claim.committing():
            results.keep_beginning(
                self.run_, {"step": 0, "device": "cpu", "precision": "fp32", "photos": 5, "held_out": 1}
            )
            for step, loss in ((10, 0.25), (20, 0.5)):
                kept_checkpoint(self.run_, step, loss)
                kept_state(self.run_, step)
        claim.beat(progress_step=23, progress_total=100)
        told = self.told()
        self.assertEqual((told["state"], told["step"], told["total"], told["resume_step"]), ("running", 23, 100, 20))
        self.assertEqual(told["base_model"]["name"], "starter")
        self.assertEqual((told["dataset"]["name"], told["dataset"]["version"]), ("casual", 1))
        self.assertEqual((told["engine"]["device"], told["engine"]["precision"]), ("cpu", "fp32"))
        self.assertEqual(told["best_checkpoint"], {"name": "spring/checkpoint-10", "step": 10, "validation_loss": 0.25})
        self.assertEqual([(row["step"], row["best"]) for row in told["checkpoints"]], [(10, True), (20, False)])
        self.assertEqual((told["job"]["id"], told["error"]), (str(claim.job.pk), None))
        for url in (told["checkpoints"][0]["url"], told["links"]["metrics"], told["links"]["events"]):
            self.assertEqual(self.api.get(url).status_code, 200)

    def test_a_failed_run_says_why_until_it_goes_on(self) -> None:
        taken(self.run_).finish(Job.State.FAILED, code="nan", text="The loss is no number.")
        self.assertEqual(self.told()["error"], {"code": "nan", "text": "The loss is no number."})
        self.api.post(f"{self.url}/resume")
        self.assertIsNone(self.told()["error"])

    def test_an_unchanged_run_is_a_304(self) -> None:
        response = self.api.get(self.url)
        etag = response["ETag"]
        self.assertEqual(response["Retry-After"], "1")
        self.assertEqual(self.api.get(self.url, headers={"If-None-Match": etag}).status_code, 304)
        taken(self.run_)
        self.assertEqual(self.api.get(self.url, headers={"If-None-Match": etag}).status_code, 200)

    def test_nothing_of_the_servers_disk_gets_out(self) -> None:
        kept_checkpoint(self.run_, 10)
        taken(self.run_)
        for path in ("", "/metrics", "/events"):
            self.assertNotRegex(self.api.get(self.url + path).content.decode(), r"/(tmp|root|home|work|var)/")

    def test_the_team_sees_it_and_for_others_it_is_as_if_it_never_was(self) -> None:
        for path in ("", "/metrics", "/events"):
            self.assertEqual(client_of(self.bob).get(self.url + path).status_code, 200)
            hers = client_of(self.charlie).get(self.url + path)
            nobodys = client_of(self.charlie).get(f"/api/runs/{uuid.uuid4()}{path}")
            self.assertEqual((hers.status_code, nobodys.status_code), (404, 404))
            self.assertEqual(hers.json()["detail"], nobodys.json()["detail"])

    def test_a_run_from_a_folder_is_everybodys_to_see(self) -> None:
        TrainingRun.objects.update(state="imported", shared=True, spec={}, dataset_version=None)
        Job.objects.all().delete()
        kept_checkpoint(self.run_, 10)
        told = client_of(self.charlie).get(self.url).json()
        self.assertEqual((told["state"], told["step"], told["total"], told["dataset"]), ("imported", 10, 0, None))
        self.assertEqual((told["job"], told["spec"]), (None, {}))
        response = client_of(self.charlie).post(f"{self.url}/pause")
        self.assertEqual(kind_of(response), (403, "not-yours"))


class ActionTests(BaseTestCase):
    def setUp(self) -> None:
        self.api = client_of(self.alice)
        self.run_ = queued_run(self.alice)

    def ask(self, action: str, api: Any = None) -> Any:
        return (api or self.api).post(f"/api/runs/{self.run_.pk}/{action}")

    def test_a_life_with_pauses(self) -> None:
        response = self.ask("pause")
        self.assertEqual((response.status_code, response.json()["state"]), (202, "paused"))
        self.assertEqual(response["Location"], f"/api/runs/{self.run_.pk}")
        self.assertEqual(self.ask("resume").json()["state"], "queued")
        claim = taken(self.run_)
        told = self.ask("pause").json()
        self.assertEqual((told["state"], told["pausing"]), ("running", True))
        claim.finish(Job.State.CANCELLED)
        told = self.ask("cancel").json()
        self.assertEqual((told["state"], told["pausing"]), ("cancelled", False))
        self.assertEqual(self.ask("resume").json()["job"]["state"], "queued")

    def test_what_the_state_does_not_allow_is_a_409_that_says_why(self) -> None:
        self.assertEqual(kind_of(self.ask("resume")), (409, "wrong-state"))
        cancel_training(self.run_)
        for action in ("pause", "cancel"):
            response = self.ask(action)
            self.assertEqual(kind_of(response), (409, "wrong-state"))
            self.assertIn("spring is cancelled", response.json()["detail"])

    def test_only_its_owner_and_staff_change_a_run_that_the_team_sees(self) -> None:
        for action in ("pause", "cancel", "resume"):
            self.assertEqual(kind_of(self.ask(action, client_of(self.bob))), (403, "not-yours"))
            self.assertEqual(self.ask(action, client_of(self.charlie)).status_code, 404)
        self.run_.refresh_from_db()
        self.assertEqual(self.run_.state, "queued")
        self.bob.is_staff = True
        self.bob.save()
        self.assertEqual(self.ask("pause", client_of(self.bob)).status_code, 202)

    def test_it_takes_the_scope_train(self) -> None:
        for action in ("pause", "resume", "cancel"):
            self.assertEqual(self.ask(action, client_of(self.alice, "read", "generate")).status_code, 403)
            self.assertEqual(self.ask(action, client_of(self.alice, "train")).status_code, 202)

    def test_cancelling_its_job_leaves_a_cancelled_run_that_can_go_on(self) -> None:
        for is_running in (False, True):
            job = self.run_.newest_job()
            assert job
            claim = taken(self.run_) if is_running else None
            self.assertEqual(self.api.post(f"/api/jobs/{job.pk}/cancel").status_code, 202)
            if claim:
                claim.finish(Job.State.CANCELLED)
            self.run_.refresh_from_db()
            self.assertEqual(self.run_.state, "cancelled")
            self.assertEqual(self.ask("resume").status_code, 202)

    def test_a_resume_counts_against_the_quota(self) -> None:
        pause_training(self.run_)
        with override_settings(JOB_MAX_QUEUED_PER_USER=0):
            self.assertEqual(kind_of(self.ask("resume")), (429, "queue-full"))
        self.run_.refresh_from_db()
        self.assertEqual(self.run_.state, "paused")


class ListTests(BaseTestCase):
    def setUp(self) -> None:
        self.api = client_of(self.alice)
        self.runs = [queued_run(self.alice, f"run-{number}") for number in range(5)]

    def names(self, query: str = "", api: Any = None) -> list[str]:
        response = (api or self.api).get(f"/api/runs{query}")
        self.assertEqual(response.status_code, 200, response.content)
        return [row["name"] for row in response.json()["runs"]]

    def test_pages_follow_each_other_newest_first(self) -> None:
        seen: list[str] = []
        url = "/api/runs?limit=2&state=queued"
        while url:
            page = self.api.get(url).json()
            seen += [row["name"] for row in page["runs"]]
            url = page["next"]
        self.assertEqual(seen, ["run-4", "run-3", "run-2", "run-1", "run-0"])

    def test_it_is_narrowed_by_state_base_dataset_and_name(self) -> None:
        pause_training(self.runs[1])
        TrainingRun.objects.filter(pk=self.runs[2].pk).update(dataset_version=photos_version(self.alice, "boots"))
        self.assertEqual(self.names("?state=paused"), ["run-1"])
        self.assertEqual(self.names("?dataset=boots"), ["run-2"])
        self.assertEqual(self.names("?base=starter&search=RUN-3"), ["run-3"])
        self.assertEqual(self.names("?base=sd15"), [])
        self.assertEqual(self.names("?state=queued&dataset=casual&limit=1"), ["run-4"])

    def test_bad_parameters_are_named(self) -> None:
        for name, value in (("state", "done"), ("limit", "0"), ("cursor", "x"), ("search", "a\x00b")):
            response = self.api.get("/api/runs", {name: value})
            self.assertEqual((response.status_code, list(fields_of(response))), (400, [name]))

    def test_a_row_tells_the_step_and_the_best_checkpoint(self) -> None:
        run = self.runs[0]
        kept_checkpoint(run, 10, 0.25)
        kept_checkpoint(run, 20, 0.75)
        results.keep_metric(run, {"step": 27, "loss": 1.0, **METRIC})
        row = self.api.get("/api/runs?search=run-0").json()["runs"][0]
        self.assertEqual((row["step"], row["total"], row["base_model"], row["dataset"]), (27, 100, "starter", "casual"))
        self.assertEqual(row["best_checkpoint"]["name"], "run-0/checkpoint-10")
        self.assertEqual(self.api.get(row["url"]).json()["name"], "run-0")

    def test_one_who_is_in_two_ways_entitled_sees_a_run_once(self) -> None:
        self.assertEqual(len(self.names()), 5)
        self.assertEqual(len(self.names(api=client_of(self.bob))), 5)
        self.assertEqual(self.names(api=client_of(self.charlie)), [])

    def test_the_list_costs_the_same_number_of_queries_however_long_it_is(self) -> None:
        for run in self.runs:
            kept_checkpoint(run, 10, 0.5)
        self.api.get("/api/runs")
        with self.assertNumQueries(3):  # token, runs, their jobs
            self.api.get("/api/runs?limit=100")


class WatchingTests(BaseTestCase):
    def setUp(self) -> None:
        self.api = client_of(self.alice)
        self.run_ = queued_run(self.alice)
        self.url = f"/api/runs/{self.run_.pk}"
        for step in (10, 20, 30):
            results.keep_metric(self.run_, {"step": step, "loss": 1 / step, **METRIC})
        for step in (0, 20):
            results.keep_validation_loss(self.run_, {"step": step, "loss": 0.5, "photos": 1})

    def test_the_curves(self) -> None:
        told = self.api.get(f"{self.url}/metrics").json()
        self.assertEqual(told["metrics"][0], {"step": 10, "loss": 0.1, **METRIC})
        self.assertEqual([point["step"] for point in told["metrics"]], [10, 20, 30])
        self.assertEqual(told["validation_losses"][1], {"step": 20, "loss": 0.5, "photos": 1})
        self.assertEqual(told["since"], 30)

    def test_polling_brings_only_what_is_new_and_a_304_when_nothing_is(self) -> None:
        response = self.api.get(f"{self.url}/metrics?since=30")
        self.assertEqual((response.json()["metrics"], response.json()["since"]), ([], 30))
        unchanged = {"If-None-Match": response["ETag"]}
        self.assertEqual(self.api.get(f"{self.url}/metrics?since=30", headers=unchanged).status_code, 304)
        results.keep_metric(self.run_, {"step": 40, "loss": 0.2, **METRIC})
        told = self.api.get(f"{self.url}/metrics?since=30", headers=unchanged).json()
        self.assertEqual(([point["step"] for point in told["metrics"]], told["since"]), ([40], 40))

    def test_the_log_comes_in_pieces_oldest_first(self) -> None:
        results.note(self.run_, "One.", step=1)
        results.note(self.run_, "Two.", step=2)
        first = self.api.get(f"{self.url}/events?limit=2").json()
        self.assertEqual([line["message"] for line in first["events"]], ["Queued.", "One."])
        second = self.api.get(f"{self.url}/events?after={first['after']}").json()
        self.assertEqual([(line["message"], line["step"]) for line in second["events"]], [("Two.", 2)])
        last = self.api.get(f"{self.url}/events?after={second['after']}")
        self.assertEqual(last.json(), {"events": [], "after": second["after"]})
        unchanged = {"If-None-Match": last["ETag"]}
        again = self.api.get(f"{self.url}/events?after={second['after']}", headers=unchanged)
        self.assertEqual(again.status_code, 304)

    def test_bad_parameters_are_named(self) -> None:
        bad = [("metrics", "since", "-1"), ("metrics", "since", "x"), ("events", "after", "9" * 30),
               ("events", "limit", "0"), ("events", "limit", "1001")]  # fmt: skip
        for path, name, value in bad:
            response = self.api.get(f"{self.url}/{path}", {name: value})
            self.assertEqual((response.status_code, list(fields_of(response))), (400, [name]))


class CheckpointFileTests(BaseTestCase):
    def setUp(self) -> None:
        self.api = client_of(self.alice)
        self.weights = starter_lora()
        self.checkpoint = kept_checkpoint(queued_run(self.alice), 40, data=self.weights)
        self.url = f"/api/checkpoints/{self.checkpoint.pk}/file"

    def test_left_alone_it_is_what_was_trained_byte_for_byte(self) -> None:
        response = self.api.get(self.url)
        self.assertEqual((response.status_code, response.content), (200, self.weights))
        self.assertEqual(response["Content-Type"], "application/x-safetensors")
        self.assertIn("attachment", response["Content-Disposition"])
        unchanged = {"If-None-Match": response["ETag"]}
        self.assertEqual(self.api.get(self.url, headers=unchanged).status_code, 304)

    def test_each_format_is_what_its_readers_look_for(self) -> None:
        kohya = load(self.api.get(f"{self.url}?format=kohya").content)
        self.assertEqual({float(value) for name, value in kohya.items() if name.endswith(".alpha")}, {16.0})
        for name, inside in (("peft", "adapter_config.json"), ("hub", "README.md")):
            response = self.api.get(f"{self.url}?format={name}")
            self.assertEqual(response["Content-Type"], "application/zip")
            names = zipfile.ZipFile(io.BytesIO(response.content)).namelist()
            self.assertTrue(any(each.endswith(inside) for each in names), names)

    def test_the_team_may_have_it_and_others_do_not_know_it(self) -> None:
        self.assertEqual(client_of(self.bob).get(self.url).status_code, 200)
        self.assertEqual(client_of(self.charlie).get(self.url).status_code, 404)
        self.assertEqual(client_of(self.alice, "train").get(self.url).status_code, 403)

    def test_an_unknown_format_is_named(self) -> None:
        self.assertEqual(list(fields_of(self.api.get(f"{self.url}?format=ckpt"))), ["format"])

    def test_a_damaged_file_is_a_problem_that_tells_no_path(self) -> None:
        path = files.path_of(self.checkpoint.blob_id)
        flipped = self.weights[:-1] + bytes([self.weights[-1] ^ 1])
        for damage in (lambda: path.write_bytes(flipped), lambda: path.write_bytes(self.weights[:100]), path.unlink):
            damage()
            response = self.api.get(self.url)
            self.assertEqual(kind_of(response), (500, "checkpoint-damaged"))
            self.assertNotIn(str(path.parent), response.content.decode())


class QuotaTests(BaseTestCase):
    def test_a_training_that_is_paused_takes_no_place_in_the_queue(self) -> None:
        run = queued_run(self.alice)
        with override_settings(JOB_MAX_QUEUED_PER_USER=1):
            with self.assertRaises(queue.QueueFull):
                queued_run(self.alice, "second")
            pause_training(run)
            queued_run(self.alice, "second")
        self.assertEqual(Dataset.objects.count(), 1)
