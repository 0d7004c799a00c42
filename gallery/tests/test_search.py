"""The search box's language, and that both databases answer alike."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from django.http import QueryDict
from django.utils import timezone

from gallery.filters import ImageFilter
from gallery.models import Collection, CollectionItem, Judgement, Tag, Tagging
from gallery.searching import IS, KEYS, Term, terms_of
from generation import shelves
from generation.models import GeneratedImage
from generation.services import LoraChoice
from generation.tests.test_portal_generate import checkpoint_of
from generation.words import phrases, plain
from shoesai.models import User
from shoesai.testing import BaseTestCase, finished_generation
from training.models import Dataset, DatasetVersion, TrainingRun


class WordsTest(BaseTestCase):
    def test_plain_text_has_neither_accents_nor_capitals_nor_signs(self) -> None:
        self.assertEqual(plain('Tênis "Preto", 2ª\tedição_x'), "tenis preto 2a edicao x")
        self.assertEqual(phrases(["white  Sole!", "…", "  "]), [["white", "sole"]])

    def test_terms_have_keys_signs_and_quotes(self) -> None:
        found = list(terms_of('red "white sole" -suede Model:starter -tag:"hero shot" steps:>30'))
        self.assertEqual(
            found,
            [
                Term("red"),
                Term("white sole", quoted=True),
                Term("suede", negated=True),
                Term("starter", "model"),
                Term("hero shot", "tag", negated=True, quoted=True),
                Term(">30", "steps"),
            ],
        )


class SearchTest(BaseTestCase):
    def picture(self, owner: User | None = None, **request: Any) -> GeneratedImage:
        return finished_generation(owner or self.alice, **request).images.get()

    def narrowed(self, q: str = "", user: User | None = None, **parameters: Any) -> ImageFilter:
        query = QueryDict(mutable=True)
        query["q"] = q
        for name, values in parameters.items():
            query.setlist(name, values if isinstance(values, list) else [values])
        return ImageFilter(query, user=user or self.alice)

    def found(self, q: str = "", **parameters: Any) -> list[GeneratedImage]:
        return list(self.narrowed(q, **parameters).qs)

    def test_every_word_must_be_there_and_finds_what_begins_with_it(self) -> None:
        red = self.picture(prompt="Red leather SNEAKERS, white soles")
        self.picture(prompt="red suede loafers")
        self.assertEqual(self.found("sneak RED"), [red])
        self.assertEqual(self.found('"white sole"'), [red])
        self.assertEqual(self.found('"sole white"'), [])
        self.assertEqual(len(self.found("red")), 2)
        self.assertEqual(self.found("red -suede"), [red])
        self.assertEqual(self.found('-"red suede"'), [red])
        self.assertEqual(self.found("eakers"), [])

    def test_common_words_are_walked_to_and_found_as_rare_ones_are(self) -> None:
        for prompt in (
            "Red leather SNEAKERS, white soles",
            "red suede loafers",
            "Botas de nêutron, white",
            "100% red_sole",
        ):
            self.picture(prompt=prompt)
        for q in (
            "red",
            "re",
            "ed",
            "sole",
            "red sneak",
            '"white sol"',
            '"white red"',
            "neutr",
            "-red",
            "-sole white",
            "%",
            "1",
            "d s",
        ):
            with self.subTest(q):
                rare = self.found(q)
                with patch("gallery.searching.COMMON", -1):
                    self.assertEqual(self.found(q), rare)

    def test_accents_do_not_count(self) -> None:
        shoe = self.picture(prompt="tênis preto de salão")
        self.assertEqual(self.found("TENIS salao"), [shoe])
        self.assertEqual(self.found("tênis"), [shoe])

    def test_a_changed_and_a_deleted_prompt_leave_the_index(self) -> None:
        shoe = self.picture(prompt="red sneakers")
        stack = shoe.generation.stacks.get()
        stack.words = "Green boots"
        stack.save()
        self.assertEqual((self.found("red"), self.found("green")), ([], [shoe]))
        shoe.generation.delete()
        self.assertEqual(self.found("green"), [])

    def test_what_the_index_would_take_for_its_own_language_is_only_words(self) -> None:
        shoe = self.picture(prompt="and or not near red")
        for text in ("AND", "red OR", "NEAR(", "red*", "'; DROP TABLE", 'a"b', "red & !", "x:*", "\x00red", "(red)"):
            self.found(text)
        self.assertEqual(self.found("NOT and OR"), [shoe])
        self.assertEqual(self.found('"red'), [shoe])

    def test_numbers_are_compared(self) -> None:
        few = self.picture(num_inference_steps=20, guidance_scale=3, seed=7)
        many = self.picture(num_inference_steps=50, guidance_scale=7.5, seed=2**64 - 100)
        self.assertEqual(self.found("steps:>30"), [many])
        self.assertEqual(self.found("steps:<=20"), [few])
        self.assertEqual(self.found("steps:20..49"), [few])
        self.assertEqual(self.found("-steps:50"), [few])
        self.assertEqual(self.found("guidance:5..9"), [many])
        self.assertEqual(self.found("seed:7"), [few])
        self.assertEqual(self.found(f"seed:{2**64 - 100}"), [many])
        self.assertEqual(len(self.found("steps:20|50")), 2)

    def test_models_runs_and_photos_are_found_by_how_their_names_begin(self) -> None:
        checkpoint = checkpoint_of(self.alice)
        dataset = Dataset.objects.create(owner=self.alice, name="Autumn")
        version = DatasetVersion.objects.create(dataset=dataset, number=1, content_hash="0" * 64)
        TrainingRun.objects.update(dataset_version=version)
        bare = self.picture()
        trained = self.picture(model_name=checkpoint.name)
        mixed = self.picture(loras=(LoraChoice(checkpoint.name, 0.5),))
        self.assertEqual(len(self.found("model:start")), 3)
        self.assertEqual(set(self.found("model:spring")), {trained, mixed})
        self.assertEqual(set(self.found("checkpoint:spring/checkpoint-150 dataset:autumn")), {trained, mixed})
        self.assertEqual(set(self.found("lora:spring")), {trained, mixed})
        self.assertEqual(self.found("-lora:spring"), [bare])
        self.assertEqual(self.found("-checkpoint:spring"), [bare])

    def test_people_sizes_and_schedulers(self) -> None:
        mine = self.picture(width=128, height=96)
        ours = self.picture(self.bob, scheduler="euler")
        self.picture(self.charlie)
        self.assertEqual(self.found("user:bob"), [ours])
        self.assertEqual(self.found("owner:BOB size:128x128"), [ours])
        self.assertEqual(self.found("size:128×96"), [mine])
        self.assertEqual(self.found("scheduler:euler"), [ours])
        self.assertEqual(self.found("user:charlie"), [])

    def test_what_people_made_of_a_picture(self) -> None:
        image, other = self.picture(), self.picture()
        Judgement.objects.create(user=self.alice, image=image, favourite=True, rating=4)
        Judgement.objects.create(user=self.bob, image=other, favourite=True, rating=5)
        Tagging.objects.create(tag=Tag.objects.create(name="Hero shot"), image=image)
        spring = Collection.objects.create(owner=self.alice, name="Spring")
        CollectionItem.objects.create(collection=spring, image=image, position=0)
        GeneratedImage.objects.filter(pk=image.pk).update(sku="AB-12", view="side")
        for q in ("is:favourite", "is:fav", "rating:>=4", "rating:4", 'tag:"hero shot"', "collection:spring", "sku:ab",
                  "view:side", "is:rated", "is:tagged"):  # fmt: skip
            self.assertEqual(self.found(q), [image], q)
            self.assertEqual(self.found(f"-{q}"), [other], q)
        self.assertEqual(self.found(collection=str(spring.pk)), [image])
        self.assertEqual(self.found(collection=str(spring.pk), user=self.charlie), [])
        self.assertEqual(self.found(favourite="true"), [image])
        self.assertEqual(self.found(favourite="false"), [other])

    def test_days_and_spans(self) -> None:
        new, old = self.picture(), self.picture()
        then = timezone.make_aware(datetime(2026, 3, 5, 12))
        GeneratedImage.objects.filter(pk=old.pk).update(created_at=then)
        GeneratedImage.objects.filter(pk=new.pk).update(created_at=timezone.now())
        self.assertEqual(self.found("before:2026-03-06"), [old])
        self.assertEqual(self.found("after:2026-03-05 before:2026-03-06"), [old])
        self.assertEqual(self.found("date:2026-03"), [old])
        self.assertEqual(self.found("date:2026-03-05"), [old])
        self.assertEqual(self.found("date:today"), [new])
        GeneratedImage.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=800))
        self.assertEqual(self.found(date="older"), [old])

    def test_what_cannot_be_meant_is_said_and_the_rest_still_counts(self) -> None:
        red = self.picture(prompt="red sneakers")
        self.picture(prompt="blue sneakers")
        for wrong in ("steps:many", "colour:red", "after:2026-13-45", "size:big", "is:pretty", "scheduler:best",
                      "seed:-1", "view:under", "date:soon", "after:0001-01-01", "date:9999-12-31"):  # fmt: skip
            narrowed = self.narrowed(f"red {wrong}")
            self.assertEqual((list(narrowed.qs), len(narrowed.problems)), ([red], 1), wrong)
        for endless in ("steps:99999999999999999999", "rating:99999999999999999999", "seed:18446744073709551615"):
            self.assertEqual(self.found(endless), [])
        narrowed = self.narrowed("red", size=["big"], date="soon")
        self.assertEqual((list(narrowed.qs), len(narrowed.problems)), ([red], 2))

    def test_parameters_that_repeat_mean_any_of_them(self) -> None:
        finished_generation(self.alice, scheduler="ddim")
        finished_generation(self.alice, scheduler="euler")
        finished_generation(self.alice, scheduler="unipc")
        self.assertEqual(len(self.found(scheduler=["ddim", "euler"])), 2)
        self.assertEqual(len(self.found(scheduler=["ddim"], q="scheduler:euler")), 0)
        self.assertEqual(self.found(scheduler=["no such"]), [])

    def test_every_key_has_an_example_that_is_understood(self) -> None:
        for name, key in KEYS.items():
            self.assertEqual(self.narrowed(key.example).problems, [], name)
        for state in IS:
            self.assertEqual(self.narrowed(f"is:{state}").problems, [])

    def test_the_trash_is_never_found(self) -> None:
        image = self.picture()
        shelves.clear(GeneratedImage.objects.filter(pk=image.pk), trashed_at=timezone.now())
        self.assertEqual(self.found(), [])
        shelves.place([image])
        self.assertEqual(self.found(), [image])
