"""Links for people without an account: what they open, what they do not tell, and when they close."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta
from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from gallery import arranging, sharing, trash
from gallery.models import ShareLink
from generation.bare_png import bare_chunks, bare_size
from generation.metadata import AI_ORIGIN
from generation.models import GeneratedImage
from shoesai import files
from shoesai.models import Membership
from shoesai.testing import BaseTestCase, finished_generation

SECRETS = ("secret prompt", "secret-prompt", "blurry", "alice", "starter", "Studio", "4711")


class SharingCase(BaseTestCase):
    def setUp(self) -> None:
        generation = finished_generation(
            self.alice, pictures=3, prompt="secret prompt of sneakers", negative_prompt="blurry", seed=4711
        )
        self.images = list(generation.images.order_by("seq"))
        self.collection = arranging.create_collection(self.alice, "Spring", description="For you")
        for image in self.images:
            arranging.add(self.alice, self.collection, GeneratedImage.objects.filter(pk=image.pk))
        self.link = sharing.create_link(self.alice, self.collection, label="Agency", lifetime=timedelta(days=30))
        self.visitor = Client()

    def address(self, name: str = "shared", *keys: Any, link: ShareLink | None = None) -> str:
        return reverse(name, args=[sharing.token_of(link or self.link), *keys])

    def addresses(self) -> list[str]:
        """Everything that the link opens."""
        one = self.images[0].pk
        return [
            self.address(),
            self.address("shared-zip"),
            *(self.address(name, one) for name in ("shared-picture", "shared-file", "shared-thumbnail")),
            f"{self.address('shared-file', one)}?download",
        ]

    def statuses(self) -> set[int]:
        return {self.visitor.get(address).status_code for address in self.addresses()}


class OpenLinkTest(SharingCase):
    def test_it_shows_the_collection_in_its_order_to_anybody(self) -> None:
        page = self.visitor.get(self.address())
        self.assertContains(page, "Spring")
        self.assertContains(page, "Agency")
        shown = [image for _number, image in page.context["pictures"]]
        self.assertEqual(shown, self.images)
        self.assertEqual(self.statuses(), {200})

    def test_no_answer_tells_a_prompt_a_seed_a_model_or_a_person(self) -> None:
        for address in self.addresses():
            response = self.visitor.get(address)
            told = response.getvalue() if response.streaming else response.content
            told += str(response.headers).encode()
            for secret in SECRETS:
                self.assertNotIn(secret.encode(), told, f"{secret} in {address}")

    def test_nobody_on_the_way_keeps_or_lists_it_or_learns_where_it_was(self) -> None:
        for address in [*self.addresses(), reverse("shared", args=["nonsense"])]:
            response = self.visitor.get(address)
            self.assertEqual(response["X-Robots-Tag"], "noindex, nofollow")
            self.assertEqual(response["Referrer-Policy"], "no-referrer")
            self.assertIn("private", response["Cache-Control"])
            self.assertTrue({"no-store", "no-cache"} & set(response["Cache-Control"].split(", ")))
            self.assertFalse(response.cookies)

    def test_the_pictures_are_the_same_pixels_with_the_mark_of_ai_and_nothing_else(self) -> None:
        response = self.visitor.get(self.address("shared-file", self.images[0].pk))
        body = response.getvalue()
        self.assertEqual(int(response["Content-Length"]), len(body))
        bare, stored = Image.open(io.BytesIO(body)), Image.open(files.path_of(self.images[0].blob_id))
        self.assertEqual(bare.tobytes(), stored.tobytes())
        self.assertIn(AI_ORIGIN, bare.info["XML:com.adobe.xmp"])
        self.assertLessEqual(set(bare.info), {"XML:com.adobe.xmp", "xmp"})
        answer = self.visitor.get(self.address("shared-thumbnail", self.images[0].pk))
        thumbnail = Image.open(io.BytesIO(answer.content))
        self.assertEqual(thumbnail.format, "WEBP")
        self.assertIn(AI_ORIGIN.encode(), thumbnail.info["xmp"])

    def test_the_zip_holds_bare_pictures_and_has_its_exact_length(self) -> None:
        response = self.visitor.get(self.address("shared-zip"))
        body = response.getvalue()
        self.assertEqual(int(response["Content-Length"]), len(body))
        archive = zipfile.ZipFile(io.BytesIO(body))
        self.assertIsNone(archive.testzip())
        self.assertEqual(archive.namelist(), ["spring-1.png", "spring-2.png", "spring-3.png"])

    def test_a_missing_file_is_a_404_and_is_told_of_in_the_zip(self) -> None:
        files.path_of(self.images[0].blob_id).unlink()
        self.assertEqual(self.visitor.get(self.address("shared-file", self.images[0].pk)).status_code, 404)
        with self.assertLogs("gallery.archives", "ERROR"):
            archive = zipfile.ZipFile(io.BytesIO(self.visitor.get(self.address("shared-zip")).getvalue()))
        self.assertEqual(archive.namelist(), ["spring-2.png", "spring-3.png", "missing.txt"])
        self.assertEqual(archive.read("missing.txt"), b"spring-1.png\n")

    def test_without_download_there_is_neither_a_zip_nor_a_button(self) -> None:
        ShareLink.objects.update(allows_download=False)
        self.assertNotContains(self.visitor.get(self.address()), "ZIP")
        for address in (self.address("shared-zip"), f"{self.address('shared-file', self.images[0].pk)}?download"):
            self.assertEqual(self.visitor.get(address).status_code, 404)
        self.assertEqual(self.visitor.get(self.address("shared-file", self.images[0].pk)).status_code, 200)

    def test_visits_are_counted_and_pictures_are_not(self) -> None:
        for address in self.addresses():
            self.visitor.get(address)
        self.link.refresh_from_db()
        self.assertEqual(self.link.visits, 1)
        self.assertIsNotNone(self.link.last_visit_at)

    def test_a_browser_asks_again_and_needs_no_second_copy(self) -> None:
        for name in ("shared-file", "shared-thumbnail"):
            address = self.address(name, self.images[0].pk)
            etag = self.visitor.get(address)["ETag"]
            again = self.visitor.get(address, headers={"If-None-Match": etag})
            self.assertEqual((again.status_code, again["Cache-Control"]), (304, "private, no-cache"))

    def test_only_looking_is_possible(self) -> None:
        for address in self.addresses():
            self.assertEqual(self.visitor.post(address).status_code, 405)

    def test_bare_bytes_are_as_many_as_was_said_for_any_png(self) -> None:
        for picture in (Image.new("L", (3, 5)), Image.new("P", (8, 8)), Image.effect_noise((300, 300), 90)):
            out = io.BytesIO()
            picture.save(out, "PNG")
            path = files.path_of(files.publish(out.getvalue(), "image/png").pk)
            self.assertEqual(sum(map(len, bare_chunks(path))), bare_size(path))


class ClosedLinkTest(SharingCase):
    def assert_closed(self) -> None:
        self.assertEqual(self.statuses(), {404})

    def test_a_revoked_link_closes_at_once_pages_and_pictures(self) -> None:
        self.assertEqual(self.statuses(), {200})
        sharing.revoke(self.link)
        self.assert_closed()
        etag = f'"{self.images[0].blob_id}-bare"'
        again = self.visitor.get(self.address("shared-file", self.images[0].pk), headers={"If-None-Match": etag})
        self.assertEqual(again.status_code, 404)

    def test_an_expired_link_is_closed(self) -> None:
        ShareLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        self.assert_closed()

    def test_a_link_that_never_expires_stays_open(self) -> None:
        ShareLink.objects.update(expires_at=None)
        self.assertEqual(self.statuses(), {200})

    def test_a_link_ends_with_its_collection_its_makers_account_and_membership(self) -> None:
        self.alice.is_active = False
        self.alice.save()
        self.assert_closed()
        self.alice.is_active = True
        self.alice.save()
        bobs = arranging.create_collection(self.bob, "Bob's", team=self.team)
        arranging.add(self.bob, bobs, GeneratedImage.objects.filter(pk=self.images[0].pk))
        bobs_link = sharing.create_link(self.alice, bobs, lifetime=None)
        self.assertEqual(self.visitor.get(self.address(link=bobs_link)).status_code, 200)
        Membership.objects.filter(user=self.alice).delete()
        self.assertEqual(self.visitor.get(self.address(link=bobs_link)).status_code, 404)
        self.collection.delete()
        self.assert_closed()

    def test_everything_wrong_looks_the_same(self) -> None:
        token = sharing.token_of(self.link)
        key, _dot, signature = token.partition(".")
        sharing.revoke(self.link)
        wrong = [token, key, f"{key}.", f"{key}.{signature[:-1]}x", f"{'A' * 22}.{signature}", "ü", "." * 50]
        wrong.append(sharing.SIGNER.sign("not a key"))
        pages = {self.visitor.get(reverse("shared", args=[text])).content for text in wrong}
        self.assertEqual(len(pages), 1)
        self.assertIn(b"This link is not open", pages.pop())

    def test_the_table_alone_opens_nothing(self) -> None:
        for guess in (str(self.link.pk), self.link.pk.hex):
            self.assertEqual(self.visitor.get(reverse("shared", args=[guess])).status_code, 404)

    def test_pictures_beside_the_collection_are_not_there(self) -> None:
        other = finished_generation(self.alice, seed=1).images.get()
        for name in ("shared-picture", "shared-file", "shared-thumbnail"):
            self.assertEqual(self.visitor.get(self.address(name, other.pk)).status_code, 404)

    def test_what_goes_into_the_trash_or_out_of_the_collection_is_gone_at_once(self) -> None:
        trash.throw_away(self.alice, GeneratedImage.objects.filter(pk=self.images[0].pk))
        arranging.take_out(self.collection, GeneratedImage.objects.filter(pk=self.images[1].pk))
        for image in self.images[:2]:
            self.assertEqual(self.visitor.get(self.address("shared-file", image.pk)).status_code, 404)
        self.assertEqual(len(self.visitor.get(self.address()).context["pictures"]), 1)

    def test_a_link_shows_what_its_maker_sees_now(self) -> None:
        bobs = finished_generation(self.bob, seed=2).images.get()
        arranging.add(self.alice, self.collection, GeneratedImage.objects.filter(pk=bobs.pk))
        self.assertEqual(self.visitor.get(self.address("shared-file", bobs.pk)).status_code, 200)
        arranging.keep_private(self.bob, GeneratedImage.objects.filter(pk=bobs.pk))
        self.assertEqual(self.visitor.get(self.address("shared-file", bobs.pk)).status_code, 404)


class SharePanelTest(SharingCase):
    def setUp(self) -> None:
        super().setUp()
        self.client.force_login(self.alice)

    def test_a_link_is_made_for_thirty_days_unless_said_otherwise(self) -> None:
        address = reverse("link-create", args=[self.collection.pk])
        for fields, days in (({"lifetime": "30"}, 30), ({"lifetime": "7"}, 7), ({"lifetime": ""}, None)):
            ShareLink.objects.all().delete()
            self.client.post(address, {"label": "Printers", "allows_download": "on", **fields})
            link = ShareLink.objects.get()
            lives = round((link.expires_at - timezone.now()) / timedelta(days=1)) if link.expires_at else None
            self.assertEqual((link.label, link.allows_download, lives), ("Printers", True, days))
        page = self.client.get(self.collection.get_absolute_url())
        self.assertContains(page, f"http://testserver{self.address(link=link)}")
        self.assertContains(page, '<option value="30" selected>')

    def test_a_lifetime_that_is_none_is_refused(self) -> None:
        page = self.client.post(reverse("link-create", args=[self.collection.pk]), {"lifetime": "31"}, follow=True)
        self.assertContains(page, "31 is not one of the available choices")
        self.assertEqual(ShareLink.objects.count(), 1)

    def test_revoking_closes_it_and_hides_its_address(self) -> None:
        self.client.post(reverse("link-revoke", args=[self.collection.pk, self.link.pk]))
        self.assertEqual(self.visitor.get(self.address()).status_code, 404)
        page = self.client.get(self.collection.get_absolute_url())
        self.assertContains(page, "Revoked")
        self.assertNotContains(page, sharing.token_of(self.link))

    def test_nobody_revokes_or_makes_links_of_somebody_elses_collection(self) -> None:
        self.collection.team = self.team
        self.collection.save()
        self.client.force_login(self.bob)
        for name, keys in (("link-create", [self.collection.pk]), ("link-revoke", [self.collection.pk, self.link.pk])):
            self.assertEqual(self.client.post(reverse(name, args=keys)).status_code, 404)
        self.link.refresh_from_db()
        self.assertTrue(self.link.is_open)


class StaffTest(SharingCase):
    def test_staff_revoke_links_in_the_administration(self) -> None:
        self.alice.is_staff = self.alice.is_superuser = True
        self.alice.save()
        self.client.force_login(self.alice)
        page = self.client.post(
            reverse("admin:gallery_sharelink_changelist"),
            {"action": "revoke", "_selected_action": [str(self.link.pk)]},
            follow=True,
        )
        self.assertContains(page, "1 link is revoked.")
        self.assertEqual(self.visitor.get(self.address()).status_code, 404)
        self.assertNotIn(sharing.token_of(self.link), json.dumps(page.content.decode()))
