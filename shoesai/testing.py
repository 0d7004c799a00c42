"""What our tests stand on: real database, real rows, and three people."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test import TestCase, TransactionTestCase
from PIL import Image

from generation.models import GeneratedImage, Generation
from generation.services import GenerationRequest, keep_image, request_generation
from shoesai.jobs.engine_child import child_of
from shoesai.models import Job, Membership, Team, User
from shoesai.site import stop_all
from training.models import BaseModel

PASSWORD = "a light table"
_hashed = functools.cache(make_password)  # hashing is slow on purpose; once per process is enough for tests


class People:
    """Alice owns, Bob is in her team, Charlie must see nothing."""

    alice: User
    bob: User
    charlie: User
    team: Team

    @classmethod
    def make_people(cls) -> None:
        cls.team = Team.objects.create(name="Studio")
        cls.alice, cls.bob, cls.charlie = (
            User.objects.create(username=name, password=_hashed(PASSWORD)) for name in ("alice", "bob", "charlie")
        )
        for person in (cls.alice, cls.bob):
            Membership.objects.create(team=cls.team, user=person)


class BaseTestCase(People, TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        cls.make_people()
        starter()


def starter() -> BaseModel:
    """The base model that `migrate` makes; made again here because a TransactionTestCase empties the tables."""
    return BaseModel.objects.get_or_create(
        name="starter",
        defaults={
            "title": "Starter (drawn shoes, 128 px)", "family": "starter", "format": "builtin", "resolution": 128,
            "guidance_scale": 3.0, "license_note": "MIT, trained by this project on its own drawings.",
        },
    )[0]


class WorkerTestCase(People, TransactionTestCase):
    """A real `manage.py worker` (django-q2 clusters, engine child) on the test database, with a real tiny model."""

    def setUp(self) -> None:
        for lane in settings.JOB_LANES:
            child_of(lane).kill()  # a test before may have done a job in this process
        self.make_people()
        self.base = tiny_base_model()
        self.worker = self.start_worker()

    def tearDown(self) -> None:
        self.stop_worker()

    def start_worker(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "worker"],
            env={**os.environ, **self.environment()},
            start_new_session=True,
        )

    def stop_worker(self) -> None:
        stop_all(self.worker)

    @staticmethod
    def environment() -> dict[str, str]:
        database = connection.settings_dict
        if connection.vendor == "sqlite":
            url = f"sqlite:///{database['NAME']}"
        else:
            url = f"postgres://{database['USER']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
        return {"DATABASE_URL": url, "SHOESAI_DATA_DIR": str(settings.DATA_DIR), "SHOESAI_DEVICE": "cpu"}

    def wait_for(self, condition: Callable[[], Any], seconds: float = 90) -> Any:
        """Returns the condition's first true value; fails with the jobs' states when it stays false."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            time.sleep(0.05)
        jobs = [(job.kind, job.state, job.error_text, job.progress_step) for job in Job.objects.all()]
        raise AssertionError(f"not within {seconds} s; jobs: {jobs}")

    def wait_until_final(self, job: Job, seconds: float = 90) -> Job:
        self.wait_for(lambda: Job.objects.filter(pk=job.pk, state__in=Job.FINAL).exists(), seconds)
        job.refresh_from_db()
        return job


def tiny_base_model() -> BaseModel:
    """Real Stable Diffusion classes at tiny size, made once per test session."""
    folder = settings.MODELS_DIR / "tiny"
    if not folder.exists():
        code = "import pathlib, sys; from shoesai.engine.tests import tiny; tiny.build_base(pathlib.Path(sys.argv[1]))"
        subprocess.run([sys.executable, "-c", code, str(folder)], check=True, cwd=settings.BASE_DIR)
    return BaseModel.objects.get_or_create(
        name="tiny",
        defaults={"title": "Tiny", "family": "starter", "location": "tiny", "resolution": 64},
    )[0]


def finished_generation(owner: User, *, pictures: int = 1, **request: Any) -> Generation:
    """A generation whose pictures are plain colours: real rows and real files, without an engine."""
    generation = request_generation(
        user=owner, request=GenerationRequest(**{"prompt": "red sneakers", "num_images": pictures, **request})
    )
    for seq in range(pictures):
        keep_plain_image(generation, seq)
    Job.objects.filter(pk=generation.job_id).update(state=Job.State.SUCCEEDED)
    generation.job.refresh_from_db()
    return generation


def keep_plain_image(generation: Generation, seq: int) -> GeneratedImage:
    picture = Image.new("RGB", (generation.width, generation.height), (200, 30 + seq, 40))
    return keep_image(
        generation=generation, seq=seq, seed=generation.first_seed + seq, picture=picture, seconds=0.1
    )


def png_bytes(colour: str = "red", size: int = 64) -> bytes:
    out = BytesIO()
    Image.new("RGB", (size, size), colour).save(out, "PNG")
    return out.getvalue()
