"""The results column: cards that come alive, and the one question that keeps them fresh."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from generation.models import GeneratedImage, Generation
from generation.services import GenerationRequest, request_generation
from shoesai.models import Job, User
from shoesai.testing import BaseTestCase, finished_generation, keep_plain_image

HTMX: dict[str, Any] = {"HTTP_HX_REQUEST": "true"}
LONG_AGO = "2020-01-01T00:00:00+00:00"


class CardTest(BaseTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.alice)
        request = GenerationRequest(prompt="red sneakers", num_images=3, num_inference_steps=25)
        self.generation = request_generation(user=self.alice, request=request)

    def card(self) -> Any:
        return self.client.get(reverse("generation", args=[self.generation.pk]), **HTMX)

    def now(self, **changes: Any) -> None:
        Job.objects.filter(pk=self.generation.job_id).update(**changes)

    def test_it_tells_the_place_in_the_queue_and_then_the_step(self) -> None:
        self.assertContains(self.card(), "Next in the queue")
        self.now(state="running", progress_step=14, progress_total=25)
        self.assertContains(self.card(), "Step 14/25")

    def test_it_says_about_how_long_it_takes_where_that_is_known(self) -> None:
        self.assertNotContains(self.card(), "left")
        earlier = finished_generation(self.bob, num_inference_steps=25)
        GeneratedImage.objects.filter(generation=earlier).update(seconds=14)
        self.assertContains(self.card(), "Next in the queue · about 40 s left")

    def test_pictures_appear_as_they_are_made_in_the_place_that_was_kept_for_them(self) -> None:
        self.now(state="running")
        keep_plain_image(self.generation, 0)
        card = self.card()
        self.assertContains(card, "<img", count=1)
        self.assertContains(card, "in-the-making", count=1)
        self.assertContains(card, "tile waiting", count=1)

    def test_each_picture_can_be_remixed_varied_and_its_seed_used(self) -> None:
        image = keep_plain_image(self.generation, 0)
        for action in ("remix", "vary", "seed_of"):
            self.assertContains(self.card(), f"/generate/?{action}={image.pk}")

    def test_ones_own_favourites_are_marked(self) -> None:
        image = keep_plain_image(self.generation, 0)
        self.client.post(reverse("image-judge", args=[image.pk]), {"favourite": "1"})
        self.assertContains(self.card(), 'aria-pressed="true"')
        self.client.force_login(self.bob)
        self.assertNotContains(self.card(), 'aria-pressed="true"')

    def test_a_picture_in_the_trash_is_not_shown(self) -> None:
        image = finished_generation(self.alice, prompt="old boots").images.get()
        GeneratedImage.objects.filter(pk=image.pk).update(shelf=None, trashed_at=image.created_at)
        page = self.client.get(reverse("generation", args=[image.generation_id]), **HTMX)
        self.assertNotContains(page, str(image.pk))
        self.assertContains(page, "in the trash or gone")

    def test_a_screen_reader_hears_of_events_and_not_of_steps(self) -> None:
        heard = []
        for step in (0, 1, 2):
            self.now(state="running", progress_step=step, progress_total=75)
            heard.append(self.news())
        keep_plain_image(self.generation, 0)
        heard.append(self.news())
        self.now(state="succeeded")
        heard.append(self.news())
        self.assertEqual(heard[0], heard[2])
        self.assertEqual(heard[3:], ["1 of 3 pictures are ready: red sneakers", "1 picture is ready: red sneakers"])

    def news(self) -> str:
        return str(self.card().context["view"].news)

    def test_a_failure_is_said_in_words(self) -> None:
        self.now(state="failed", error_text="The engine ran out of memory.")
        self.assertContains(self.card(), "The engine ran out of memory.")

    def test_the_preview_is_shown_while_it_is_made_and_to_nobody_else(self) -> None:
        self.now(state="running", preview=b"webp bytes")
        address = reverse("job-preview", args=[self.generation.job_id])
        self.assertContains(self.card(), address)
        self.assertEqual(self.client.get(address).content, b"webp bytes")
        self.client.force_login(self.charlie)
        self.assertEqual(self.client.get(address).status_code, 404)

    def test_a_card_opens_the_page_in_a_browser(self) -> None:
        response = self.client.get(reverse("generation", args=[self.generation.pk]))
        self.assertRedirects(response, f"/generate/#generation-{self.generation.pk}", fetch_redirect_response=False)

    def test_somebody_elses_generation_is_a_404(self) -> None:
        self.client.force_login(self.charlie)
        self.assertEqual(self.card().status_code, 404)

    def test_a_team_mate_may_look_but_the_page_shows_only_ones_own(self) -> None:
        self.client.force_login(self.bob)
        self.assertEqual(self.card().status_code, 200)
        self.assertContains(self.client.get(reverse("generate")), "Nothing made yet")
        self.assertNotContains(self.client.get(reverse("generate")), "red sneakers</h3>")


class WatchTest(BaseTestCase):
    """GET /generate/live/: what the page asks every second while something is being made."""

    def setUp(self) -> None:
        self.client.force_login(self.alice)

    def asked(self, owner: User | None = None, prompt: str = "red sneakers") -> Generation:
        return request_generation(user=owner or self.alice, request=GenerationRequest(prompt=prompt))

    def live(self, *seen: str, since: str = LONG_AGO) -> Any:
        return self.client.get(reverse("generate-live"), {"seen": list(seen), "since": since}, **HTMX)

    def seen(self) -> tuple[list[str], str]:
        """What the page would ask with."""
        page = self.client.get(reverse("generate"))
        live = [view for view in page.context["views"] if view.job.is_live]
        since = page.context["live"]["since"].isoformat()
        return [f"{view.generation.pk}:{view.version}" for view in live], since

    def test_a_stranger_is_sent_to_the_sign_in_page(self) -> None:
        self.client.logout()
        self.assertEqual(self.live().status_code, 302)

    def test_nothing_new_costs_no_bytes(self) -> None:
        self.asked()
        seen, since = self.seen()
        response = self.live(*seen, since=since)
        self.assertEqual((response.status_code, response.content), (204, b""))

    def test_only_the_card_that_has_changed_is_sent(self) -> None:
        first, second = self.asked(), self.asked(prompt="blue boots")
        Job.objects.filter(pk=first.job_id).update(state="running", progress_total=50)
        seen, since = self.seen()
        Job.objects.filter(pk=first.job_id).update(progress_step=1)
        response = self.live(*seen, since=since)
        self.assertContains(response, f'id="generation-{first.pk}"')
        self.assertContains(response, 'hx-swap-oob="true"', count=1)
        self.assertEqual([view.generation for view in response.context["changed"]], [first])
        self.assertNotContains(response, f'id="generation-{second.pk}"')

    def test_another_tab_hears_of_what_was_asked_here(self) -> None:
        self.asked()
        seen, since = self.seen()
        new = self.asked(prompt="green clogs")
        response = self.live(*seen, since=since)
        self.assertContains(response, 'hx-swap-oob="afterbegin:#results"')
        self.assertEqual([view.generation for view in response.context["fresh"]], [new])
        self.assertContains(response, new.created_at.isoformat()[:19])

    def test_when_all_has_ended_the_page_asks_no_more(self) -> None:
        generation = self.asked()
        seen, since = self.seen()
        Job.objects.filter(pk=generation.job_id).update(state="succeeded")
        response = self.live(*seen, since=since)
        self.assertNotContains(response, "every 1s")
        self.assertEqual(response["HX-Trigger-After-Settle"], "jobs-changed")
        self.assertNotContains(self.client.get(reverse("generate")), "every 1s")

    def test_others_work_is_no_news_even_by_its_name(self) -> None:
        theirs = self.asked(owner=self.charlie)
        mates = self.asked(owner=self.bob)
        self.assertEqual(self.live(f"{theirs.pk}:0", f"{mates.pk}:0").status_code, 204)

    def test_nonsense_is_a_404(self) -> None:
        self.assertEqual(self.live("no id").status_code, 404)
        self.assertEqual(self.live(since="yesterday").status_code, 404)

    def test_more_cards_cost_no_more_questions(self) -> None:
        self.asked()
        asked = []
        for _number in range(2):
            with CaptureQueriesContext(connection) as captured:
                self.client.get(reverse("generate"))
            asked.append(len(captured))
            for _generation in range(3):
                self.asked()
        self.assertEqual(asked[0], asked[1])
        self.assertLessEqual(asked[0], 20)

    def test_the_page_shows_all_that_is_still_to_be_made(self) -> None:
        waiting = [self.asked() for _number in range(3)]
        for _number in range(12):
            finished_generation(self.alice)
        views = self.client.get(reverse("generate")).context["views"]
        self.assertEqual(len(views), 15)
        self.assertEqual({view.generation for view in views if view.job.is_live}, set(waiting))


class CancelAllTest(BaseTestCase):
    def test_it_stops_ones_own_generations_and_no_others(self) -> None:
        mine = [request_generation(user=self.alice, request=GenerationRequest(prompt="red")) for _number in range(2)]
        theirs = request_generation(user=self.bob, request=GenerationRequest(prompt="red"))
        self.client.force_login(self.alice)
        page = self.client.post(reverse("generate-cancel-all"), follow=True)
        self.assertContains(page, "2 generations are cancelled.")
        states = dict(Job.objects.values_list("pk", "state"))
        self.assertEqual([states[made.job_id] for made in (*mine, theirs)], ["cancelled", "cancelled", "queued"])

    def test_only_a_post_does_it(self) -> None:
        self.client.force_login(self.alice)
        self.assertEqual(self.client.get(reverse("generate-cancel-all")).status_code, 405)
