from __future__ import annotations

import json
import uuid

from django.conf import settings

from shoesai import files
from shoesai.testing import BaseTestCase, starter
from shoesai.tests.api_client import client_of
from training.models import Checkpoint, TrainingRun


class ModelTests(BaseTestCase):
    checkpoint: Checkpoint

    @classmethod
    def setUpTestData(cls) -> None:
        super().setUpTestData()
        run = TrainingRun.objects.create(
            owner=cls.alice, team=cls.team, name="casual", base_model=starter(), family="starter"
        )
        blob = files.publish(b"not really weights", "application/octet-stream")
        cls.checkpoint = Checkpoint.objects.create(
            run=run, step=150, family="starter", blob=blob, rank=8, lora_alpha=16
        )

    def test_the_list_has_the_seeds_shape(self) -> None:
        base, checkpoint = client_of(self.alice).get("/api/models").json()["models"]
        self.assertEqual((base["name"], base["type"], base["step"]), ("starter", "base", None))
        self.assertEqual(checkpoint["name"], "casual/checkpoint-150")
        self.assertEqual((checkpoint["type"], checkpoint["step"]), ("checkpoint", 150))
        self.assertEqual(checkpoint["path"], f"/api/models/{self.checkpoint.pk}")

    def test_a_path_leads_to_its_model(self) -> None:
        client = client_of(self.alice)
        for row in client.get("/api/models").json()["models"]:
            self.assertEqual(client.get(row["path"]).json(), row)

    def test_nothing_of_the_servers_disk_gets_out(self) -> None:
        text = json.dumps(client_of(self.alice).get("/api/models").json())
        for secret in (str(settings.BASE_DIR), str(settings.DATA_DIR), str(settings.MODELS_DIR), "weights"):
            self.assertNotIn(secret, text)

    def test_the_team_sees_a_checkpoint_and_for_others_it_is_as_if_it_never_was(self) -> None:
        url = f"/api/models/{self.checkpoint.pk}"
        self.assertEqual(client_of(self.bob).get(url).status_code, 200)
        charlie = client_of(self.charlie)
        self.assertEqual([row["name"] for row in charlie.get("/api/models").json()["models"]], ["starter"])
        absent = charlie.get(f"/api/models/{uuid.uuid4()}")
        self.assertEqual((charlie.get(url).status_code, absent.status_code), (404, 404))
        self.assertEqual(charlie.get(url).json()["detail"], absent.json()["detail"])

    def test_a_strangers_checkpoint_cannot_be_generated_with(self) -> None:
        body = {"prompt": "red", "model_name": "casual/checkpoint-150", "wait": 0}
        answers = [
            client_of(person).post("/api/generate", body, content_type="application/json").status_code
            for person in (self.alice, self.bob, self.charlie)
        ]
        self.assertEqual(answers, [202, 202, 400])
