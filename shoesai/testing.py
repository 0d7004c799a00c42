"""What our tests stand on: real database, real rows, and three people."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from django.test import TestCase
from PIL import Image

from generation.models import GeneratedImage, Generation
from generation.services import GenerationRequest, keep_image, request_generation
from shoesai.models import Job, Membership, Team, User
from training.models import BaseModel


class People:
    """Alice owns, Bob is in her team, Charlie must see nothing."""

    alice: User
    bob: User
    charlie: User
    team: Team

    @classmethod
    def make_people(cls) -> None:
        cls.team = Team.objects.create(name="Studio")
        cls.alice = User.objects.create_user("alice", password="a light table")
        cls.bob = User.objects.create_user("bob", password="a light table")
        cls.charlie = User.objects.create_user("charlie", password="a light table")
        for person in (cls.alice, cls.bob):
            Membership.objects.create(team=cls.team, user=person)


class BaseTestCase(People, TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        cls.make_people()


def starter() -> BaseModel:
    return BaseModel.objects.get(name="starter")


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
