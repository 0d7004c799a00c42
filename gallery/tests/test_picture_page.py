"""The page of one picture: its recipe, where it comes from, its neighbours, and what each person may do there."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from gallery import judging
from gallery.models import Collection, CollectionItem
from generation import shelves
from generation.models import GeneratedImage, Generation
from generation.services import LoraChoice
from generation.tests.test_portal_generate import checkpoint_of
from shoesai.models import Job
from shoesai.testing import BaseTestCase, finished_generation
from training.models import Dataset, DatasetVersion, TrainingRun
from training.tests.runs import photos_version


class PictureTestCase(BaseTestCase):
    def page(self, image: GeneratedImage, **query: Any) -> Any:
        return self.client.get(reverse("image", args=[image.pk]), query)


class RecipeTest(PictureTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.bob)

    def test_it_tells_everything_that_made_the_picture(self) -> None:
        checkpoint = checkpoint_of(self.alice, self.team)
        checkpoint_of(self.alice, self.team, name="light", step=20)
        generation = finished_generation(
            self.alice, model_name=checkpoint.name, seed=2**63, negative_prompt="blurry", guidance_scale=6.5,
            num_inference_steps=33, loras=(LoraChoice("light/checkpoint-20", 0.6),),
        )  # fmt: skip
        Job.objects.filter(pk=generation.job_id).update(result={"device": "mps"})
        image = generation.images.get()
        page = self.page(image)
        for words in ("red sneakers", "blurry", str(2**63), "DDIM", "128 × 128 px", "alice", checkpoint.name, "6.5",
                      "33", "light/checkpoint-20", "× 0.6", "mps", image.blob_id):  # fmt: skip
            self.assertContains(page, words)

    def test_it_offers_every_way_to_go_on_from_it(self) -> None:
        image = finished_generation(self.alice).images.get()
        page = self.page(image)
        for name in ("from", "remix", "seed_of", "vary", "reference"):
            self.assertContains(page, f"{reverse('generate')}?{name}={image.pk}")
        for name in ("png", "webp", "jpeg"):
            for metadata in "10":
                self.assertContains(page, f"?format={name}&amp;metadata={metadata}&amp;download")

    def test_it_shows_the_call_for_a_shell_and_for_python(self) -> None:
        image = finished_generation(self.alice, prompt="the red & <blue> shoe's").images.get()
        page = self.page(image)
        address = f"http://testserver{reverse('api-generate')}"
        curl, python = (call["code"] for call in page.context["calls"])
        self.assertIn(f"curl -sX POST {address}", curl)
        self.assertIn(repr(address), python)
        self.assertContains(page, "the red &amp; &lt;blue&gt; shoe")

    def test_the_metadata_is_the_recipe(self) -> None:
        image = finished_generation(self.alice, seed=7).images.get()
        response = self.client.get(reverse("image-metadata", args=[image.pk]))
        recipe = json.loads(response.content)
        self.assertEqual((recipe["seed"], recipe["model"], recipe["sha256"]), (7, "starter", image.blob_id))
        self.assertIn("red-sneakers_7.json", response["Content-Disposition"])

    def test_a_page_with_everything_on_it_asks_the_database_little(self) -> None:
        checkpoint = checkpoint_of(self.alice, self.team)
        TrainingRun.objects.update(dataset_version=photos_version(self.alice))
        image = finished_generation(self.alice, pictures=4, model_name=checkpoint.name).images.get(seq=1)
        with CaptureQueriesContext(connection) as queries:
            self.page(image)
        self.assertLess(len(queries), 32)


class NeighboursTest(PictureTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.bob)

    def test_the_arrows_stay_inside_the_search(self) -> None:
        pictures = [finished_generation(self.alice, prompt=f"{colour} shoes").images.get() for colour in
                    ("red", "blue", "red")]  # fmt: skip
        for age, picture in enumerate(reversed(pictures)):
            GeneratedImage.objects.filter(pk=picture.pk).update(created_at=timezone.now() - timedelta(hours=age))
        page = self.page(pictures[2], q="red")
        self.assertEqual((page.context["before"], page.context["after"]), (None, pictures[0]))
        self.assertContains(page, f"{reverse('image', args=[pictures[0].pk])}?q=red")
        self.assertContains(page, f"{reverse('gallery')}?q=red#i-{pictures[2].pk}")

    def test_the_other_pictures_of_the_request_are_a_strip_of_what_one_may_see(self) -> None:
        first, second, hidden = finished_generation(self.alice, pictures=3).images.order_by("seq")
        GeneratedImage.objects.filter(pk=hidden.pk).update(team=None)
        shelves.place([hidden])
        self.assertEqual(self.page(first).context["siblings"], [first, second])

    def test_a_picture_alone_has_no_strip(self) -> None:
        image = finished_generation(self.alice).images.get()
        self.assertEqual(self.page(image).context["siblings"], [])


class OriginTest(PictureTestCase):
    """Alice trained, and her team sees it; what she keeps to herself is told by its absence only."""

    image: GeneratedImage
    version: DatasetVersion

    @classmethod
    def setUpTestData(cls) -> None:
        super().setUpTestData()
        checkpoint = checkpoint_of(cls.alice, cls.team)
        cls.version = photos_version(cls.alice, "Spring photos", photos=12)
        TrainingRun.objects.update(dataset_version=cls.version)
        cls.image = finished_generation(cls.alice, model_name=checkpoint.name).images.get()

    def setUp(self) -> None:
        self.client.force_login(self.bob)

    def test_the_chain_leads_from_the_picture_to_the_photos(self) -> None:
        page = self.page(self.image)
        run = TrainingRun.objects.get(name="spring")
        self.assertContains(page, reverse("training-run", args=[run.pk]))
        self.assertContains(page, "Spring photos v1")
        self.assertContains(page, "12 photos")
        self.assertContains(page, "and 4 more")
        for photo in self.version.photos.filter(position__lt=8):
            self.assertContains(page, reverse("photo-thumbnail", args=[photo.pk]))

    def test_it_leads_back_to_every_picture_of_the_checkpoint_and_of_the_photos(self) -> None:
        finished_generation(self.bob, pictures=2, model_name="spring/checkpoint-150")
        page = self.page(self.image)
        self.assertContains(page, "3 pictures made with it")
        (origin,) = page.context["origins"]
        for query in (origin.query, origin.dataset_query):
            found = self.client.get(f"{reverse('gallery')}?{query}")
            self.assertContains(found, reverse("image-thumbnail", args=[self.image.pk]))

    def test_who_may_not_see_the_dataset_reads_a_sentence_and_no_name(self) -> None:
        Dataset.objects.update(team=None)
        page = self.page(self.image)
        self.assertNotContains(page, "Spring photos")
        self.assertNotContains(page, "photo-thumbnail")
        self.assertContains(page, "The photos that it learned from belong to somebody outside your team.")
        self.client.force_login(self.alice)
        self.assertContains(self.page(self.image), "Spring photos v1")

    def test_who_may_not_see_the_run_gets_no_link_to_it(self) -> None:
        TrainingRun.objects.update(team=None)
        self.assertNotContains(self.page(self.image), reverse("training-run", args=[TrainingRun.objects.get().pk]))

    def test_a_reference_and_what_was_made_from_it_know_each_other(self) -> None:
        varied = finished_generation(self.bob, reference_image=self.image.pk, strength=0.5).images.get()
        page = self.page(varied)
        self.assertEqual(page.context["reference"], self.image)
        self.assertContains(page, "strength 0.5")
        self.assertEqual(list(self.page(self.image).context["variations"]), [varied])

    def test_a_reference_that_one_may_not_see_is_no_link(self) -> None:
        varied = finished_generation(self.alice, reference_image=self.image.pk, strength=0.5).images.get()
        Generation.objects.filter(pk=self.image.generation_id).update(team=None)
        GeneratedImage.objects.filter(pk=self.image.pk).update(team=None)
        shelves.place([self.image])
        page = self.page(varied)
        self.assertIsNone(page.context["reference"])
        self.assertNotContains(page, str(self.image.pk))


class OrganiseTest(PictureTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.alice)
        self.image = finished_generation(self.alice).images.get()

    def test_it_shows_ones_own_star_and_rating_and_everybodys_tags(self) -> None:
        only = GeneratedImage.objects.filter(pk=self.image.pk)
        judging.judge(self.alice, only, favourite=True, rating=4)
        judging.judge(self.bob, only, rating=1)
        judging.tag(self.bob, only, "summer & sun")
        page = self.page(self.image)
        self.assertContains(page, 'data-stars="4" value="0" aria-pressed="true"')
        self.assertContains(page, 'name="favourite" value="0" aria-pressed="true"')
        self.assertContains(page, "Remove the tag summer &amp; sun")

    def test_tags_of_pictures_that_one_may_not_see_are_not_offered(self) -> None:
        foreign = finished_generation(self.charlie).images.get()
        judging.tag(self.charlie, GeneratedImage.objects.filter(pk=foreign.pk), "secret")
        judging.tag(self.alice, GeneratedImage.objects.filter(pk=self.image.pk), "summer")
        self.assertEqual(list(self.page(self.image).context["tags_offered"]), ["summer"])

    def test_collections_are_those_it_is_in_and_those_it_could_go_into(self) -> None:
        there, free = (Collection.objects.create(owner=self.alice, name=name) for name in ("Autumn", "Winter"))
        Collection.objects.create(owner=self.charlie, name="Secret")
        CollectionItem.objects.create(collection=there, image=self.image, position=1)
        page = self.page(self.image)
        self.assertEqual(list(page.context["collected_in"]), [there])
        self.assertEqual(list(page.context["collections"]), [free])

    def test_only_its_owner_shares_names_and_throws_away(self) -> None:
        owners = [reverse(f"selection-{action}") for action in ("sku", "view", "unshare", "trash")]
        everybodys = [reverse(f"selection-{action}") for action in ("tag", "collect")]
        page = self.page(self.image)
        for address in owners + everybodys:
            self.assertContains(page, f'"{address}"')
        GeneratedImage.objects.update(sku="A-4711", view="side")
        self.client.force_login(self.bob)
        page = self.page(self.image)
        for address in owners:
            self.assertNotContains(page, f'"{address}"')
        for address in everybodys:
            self.assertContains(page, f'"{address}"')
        self.assertContains(page, "A-4711")

    def test_without_javascript_the_trash_leads_on_to_the_next_picture(self) -> None:
        older = finished_generation(self.alice).images.get()
        GeneratedImage.objects.filter(pk=older.pk).update(created_at=timezone.now() - timedelta(days=1))
        page = self.page(self.image, q="red")
        onward = f"{reverse('image', args=[older.pk])}?q=red"
        self.assertEqual(page.context["onward"], onward)
        gone = self.client.post(reverse("selection-trash"), {"image": str(self.image.pk), "next": onward})
        self.assertRedirects(gone, onward)
        self.assertEqual(self.page(self.image).status_code, 404)


class PermissionTest(PictureTestCase):
    def test_strangers_sign_in_and_somebody_elses_picture_is_a_404(self) -> None:
        image = finished_generation(self.alice).images.get()
        for name in ("image", "image-metadata"):
            address = reverse(name, args=[image.pk])
            self.client.logout()
            self.assertRedirects(self.client.get(address), f"/login/?next={address}")
            self.client.force_login(self.charlie)
            self.assertEqual(self.client.get(address).status_code, 404)
