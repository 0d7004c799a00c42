"""The runs in the portal: their list, each one's page while it lives and after, two beside each other."""

from __future__ import annotations

import io
import json
import re
from typing import Any
from urllib.parse import quote

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from PIL import Image

from shoesai import files
from shoesai.engine.specs import TrainSpec
from shoesai.models import Job
from shoesai.testing import BaseTestCase, png_bytes, starter
from training import results
from training.comparing import nearest_pairs
from training.exports import FORMATS
from training.media import webp_of
from training.models import Checkpoint, TrainingMetric, TrainingRun, ValidationImage
from training.services import resume_training, start_training
from training.tests.loras import starter_lora
from training.tests.runs import kept_checkpoint, kept_state, photos_version, queued_run, taken

HTMX: dict[str, Any] = {"HTTP_HX_REQUEST": "true"}
BEGUN = {"event": "begun", "step": 0, "device": "cpu", "precision": "fp32", "photos": 5, "held_out": 1,
         "trainable_parameters": 114_688, "torch": "2.14"}  # fmt: skip


def page_of(run: TrainingRun) -> str:
    return reverse("training-run", args=[run.pk])


def with_curve(run: TrainingRun, steps: int = 30) -> TrainingRun:
    TrainingMetric.objects.bulk_create(
        TrainingMetric(run=run, step=step, loss=0.3 + 0.1 / step, learning_rate=1e-4, grad_norm=0.5, seconds=2.0,
                       memory_bytes=1_500_000_000)
        for step in range(1, steps + 1)
    )  # fmt: skip
    return run


def with_results(run: TrainingRun) -> TrainingRun:
    """What a worker would have kept: losses, pictures from step 0 on, checkpoints, states, a log."""
    results.keep_beginning(run, BEGUN)
    with_curve(run)
    for step, loss in ((0, 0.41), (10, 0.30), (20, 0.35)):
        results.keep_validation_loss(run, {"step": step, "loss": loss, "photos": 1})
        for seq, prompt in enumerate(("red sneakers", "blue <b>boots</b>")):
            picture = {"step": step, "seq": seq, "prompt": prompt, "seed": 7 + seq}
            results.keep_validation_image(run, picture, png_bytes(f"#{step:02x}{seq:02x}55", 128))
    kept_checkpoint(run, 10, 0.30)
    kept_checkpoint(run, 20, 0.35)
    kept_state(run, 20)
    run.refresh_from_db()
    return run


class RunPageCase(BaseTestCase):
    def setUp(self) -> None:
        self.run_ = queued_run(self.alice)
        self.client.force_login(self.alice)

    def get(self, **headers: Any) -> Any:
        return self.client.get(page_of(self.run_), **headers)

    def post(self, action: str, **headers: Any) -> Any:
        return self.client.post(reverse(f"training-{action}", args=[self.run_.pk]), **headers)

    def state(self) -> str:
        self.run_.refresh_from_db()
        return self.run_.state


class RunPageTest(RunPageCase):
    def test_a_run_that_waits_says_so_and_what_will_come(self) -> None:
        page = self.get()
        self.assertContains(page, "Next in the queue")
        self.assertContains(page, "The curves begin with the first step.")
        self.assertContains(page, "The first usable LoRA comes at step 10.")
        self.assertContains(page, "every 2s")

    def test_a_run_that_trains_shows_where_it_stands(self) -> None:
        with_results(self.run_)
        taken(self.run_).beat(progress_step=30, progress_total=100, progress_message="Training")
        page = self.get()
        self.assertContains(page, '<progress max="100" value="30"')
        self.assertContains(page, "Training · step 30/100")
        view = page.context["view"]
        self.assertEqual((view.step, view.total, view.seconds_per_step, view.seconds_left), (30, 100, 2.0, 140.0))
        for words in ("1.5 GB", "cpu", "fp32", "114,688", "0.3000", "best, at 10"):
            self.assertContains(page, words)

    def test_after_a_crash_the_job_tells_the_step_and_not_the_older_curve(self) -> None:
        with_results(self.run_)
        taken(self.run_).beat(progress_step=12, progress_total=100)
        self.assertEqual(self.get().context["view"].step, 12)

    def test_the_time_left_ends_with_the_time_that_it_may_take(self) -> None:
        TrainingRun.objects.update(spec={**self.run_.spec, "max_train_minutes": 1.0}, train_seconds=30.0)
        self.run_.refresh_from_db()
        with_curve(self.run_)
        taken(self.run_).beat(progress_step=30, progress_total=100)
        self.assertAlmostEqual(self.get().context["view"].seconds_left, 30, delta=2)

    def test_the_curves_are_drawn_with_their_axes_and_checkpoints_and_told_in_a_table(self) -> None:
        with_results(self.run_)
        page = self.get()
        titles = [chart.title for chart in (page.context["view"].loss_chart, *page.context["view"].small_charts)]
        self.assertEqual(titles, ["Loss", "Validation loss", "Learning rate", "Gradient norm"])
        self.assertContains(page, "<title>Checkpoint 10</title>")
        self.assertContains(page, 'class="line smooth" d="M')
        self.assertContains(page, 'class="y-tick"')
        self.assertContains(page, '<th scope="row">20</th><td>0.3050</td>')

    def test_nothing_on_the_page_is_styled_or_scripted_inline(self) -> None:
        with_results(self.run_)
        for address in (page_of(self.run_), reverse("training-new"), reverse("training"),
                        f"{reverse('training-compare')}?a={self.run_.pk}&b={self.run_.pk}"):  # fmt: skip
            html = self.client.get(address).content.decode()
            self.assertNotRegex(html, r"\sstyle=|\son[a-z]+=|<script>|javascript:")

    def test_the_strip_has_a_row_a_prompt_and_begins_with_the_bare_base(self) -> None:
        with_results(self.run_)
        page = self.get()
        view = page.context["view"]
        self.assertEqual(view.strip_steps, [0, 10, 20])
        rows = [(row.prompt, row.seed) for row in view.strip]
        self.assertEqual(rows, [("red sneakers", 7), ("blue <b>boots</b>", 8)])
        self.assertContains(page, '<th scope="col">base</th>')
        self.assertContains(page, "blue &lt;b&gt;boots&lt;/b&gt;")
        self.assertContains(page, "base without the LoRA · seed 7")

    def test_a_picture_that_was_not_drawn_leaves_a_gap(self) -> None:
        with_results(self.run_)
        self.run_.validation_images.get(step=10, seq=1).delete()
        self.assertEqual([image and image.step for image in self.get().context["view"].strip[1].images], [0, None, 20])

    def test_the_log_is_in_order_and_no_longer_than_its_box(self) -> None:
        for number in range(230):
            results.note(self.run_, f"line {number}.", step=number)
        log = [line.message for line in self.get().context["view"].log]
        self.assertEqual((len(log), log[0], log[-1]), (200, "line 30.", "line 229."))

    def test_every_setting_is_told_and_those_that_differ_are_marked(self) -> None:
        page = self.get()
        self.assertContains(page, 'class="is-changed"><dt title="max_train_steps">Steps</dt><dd>100')
        self.assertContains(page, "instead of 3000")
        self.assertContains(page, '<div><dt title="rank">Rank</dt><dd>8</dd></div>')
        for name in self.run_.spec.keys() - {"version"}:
            self.assertContains(page, f'title="{name}"')

    def test_an_old_spec_is_told_with_what_it_did_not_know_yet(self) -> None:
        TrainingRun.objects.update(spec={"version": 1, "max_train_steps": 7, "some_old_thing": 1})
        self.assertContains(self.get(), '<dt title="max_train_steps">Steps</dt><dd>7')

    def test_it_says_what_it_was_made_from(self) -> None:
        page = self.get()
        assert self.run_.dataset_version
        self.assertContains(page, self.run_.dataset_version.content_hash)
        self.assertContains(page, "casual v1")

    def test_parent_and_clones_lead_to_each_other_for_those_who_may_see_them(self) -> None:
        clone = start_training(
            user=self.bob, name="spring-2", dataset_version=self.run_.dataset_version, base_model=starter(),  # type: ignore[arg-type]
            spec=TrainSpec.from_dict(self.run_.spec), parent=self.run_,
        )  # fmt: skip
        self.assertContains(self.get(), page_of(clone))
        self.assertContains(self.client.get(page_of(clone)), f"?a={self.run_.pk}&amp;b={clone.pk}")
        TrainingRun.objects.filter(pk=self.run_.pk).update(team=None, owner=self.charlie)
        self.assertNotContains(self.client.get(page_of(clone)), ">spring<")

    def test_a_failed_run_says_why_and_what_to_try(self) -> None:
        taken(self.run_).finish(Job.State.FAILED, code="nan", text="the loss is no number at step 12")
        page = self.get()
        self.assertContains(page, "the loss is no number at step 12")
        self.assertContains(page, "lower learning rate")
        self.assertContains(page, "Start again")

    def test_an_imported_run_has_its_checkpoints_and_no_empty_curves(self) -> None:
        run = TrainingRun.objects.create(
            owner=self.alice, team=self.team, name="found", base_model=starter(), family="starter", state="imported"
        )
        kept_checkpoint(run, 500)
        page = self.client.get(page_of(run))
        self.assertContains(page, "found%2Fcheckpoint-500")
        self.assertNotContains(page, "The curves begin")
        self.assertNotContains(page, "?clone=")

    def test_its_jobs_are_listed_with_what_each_took(self) -> None:
        taken(self.run_).finish(Job.State.FAILED, code="system", text="no room")
        resume_training(self.run_)
        self.assertEqual([stretch.job.state for stretch in self.get().context["view"].stretches], ["failed", "queued"])

    def test_many_points_lines_and_pictures_take_no_more_queries(self) -> None:
        def queries() -> int:
            with CaptureQueriesContext(connection) as asked:
                self.get()
            return len(asked)

        with_results(self.run_)
        before = queries()
        for number in range(40):
            results.note(self.run_, f"line {number}.")
            picture = {"step": 100 + number, "seq": 0, "prompt": "red sneakers", "seed": 7}
            results.keep_validation_image(self.run_, picture, png_bytes("red"))
            if number < 10:
                kept_checkpoint(self.run_, 100 + number, 0.5)
        TrainingMetric.objects.bulk_create(
            TrainingMetric(run=self.run_, step=step, loss=0.3, learning_rate=1e-4, grad_norm=0.5)
            for step in range(100, 1100)
        )
        self.assertEqual(queries(), before)
        self.assertLess(before, 25)


class LivingPageTest(RunPageCase):
    """What htmx asks for every two seconds."""

    def setUp(self) -> None:
        super().setUp()
        with_results(self.run_)
        self.claim = taken(self.run_)

    def poll(self, address: str = "") -> Any:
        return self.client.get(address or self.next_address(self.get()), **HTMX)

    @staticmethod
    def next_address(page: Any) -> str:
        found = re.search(r'id="run-live"[^>]*hx-get="([^"]+)"', page.content.decode())
        assert found
        return found.group(1).replace("&amp;", "&")

    def test_only_what_has_changed_is_sent(self) -> None:
        address = self.next_address(self.get())
        TrainingMetric.objects.create(run=self.run_, step=31, loss=0.2, learning_rate=1e-4, grad_norm=0.5)
        changed = self.client.get(address, **HTMX).content.decode()
        self.assertIn('id="run-live"', changed)
        self.assertEqual(re.findall("innerHTML:#run-([a-z]+)", changed), ["charts"])
        self.assertNotIn("<html", changed)
        kept_checkpoint(self.run_, 40, 0.2)
        changed = self.client.get(address, **HTMX).content.decode()
        self.assertEqual(re.findall("innerHTML:#run-([a-z]+)", changed), ["charts", "checkpoints", "log"])

    def test_nothing_is_sent_when_nothing_has_changed(self) -> None:
        TrainingRun.objects.update(state="paused")
        address = self.next_address(self.get())
        self.assertEqual(self.client.get(address, **HTMX).status_code, 204)
        results.note(self.run_, "something.")
        changed = self.client.get(address, **HTMX)
        self.assertContains(changed, "innerHTML:#run-log")
        self.assertNotIn("HX-Trigger", changed.headers)
        self.assertEqual(self.client.get(self.next_address(changed), **HTMX).status_code, 204)

    def test_the_end_is_told_once_and_then_nothing_polls(self) -> None:
        address = self.next_address(self.get())
        self.claim.finish(Job.State.SUCCEEDED)
        end = self.client.get(address, **HTMX)
        self.assertContains(end, "Succeeded")
        self.assertIn("jobs-changed", end["HX-Trigger"])
        self.assertNotContains(end, "every 2s")
        self.assertEqual(self.client.get(self.next_address(end), **HTMX).status_code, 204)
        self.assertNotContains(self.get(), "every 2s")

    def test_a_fragment_is_never_kept_by_the_browser(self) -> None:
        self.assertIn("no-store", self.poll(page_of(self.run_))["Cache-Control"])


class ActionTest(RunPageCase):
    def test_pause_resume_and_cancel_change_the_state_and_the_buttons(self) -> None:
        self.assertContains(self.get(), 'id="pause"')
        self.assertRedirects(self.post("pause"), page_of(self.run_))
        self.assertEqual(self.state(), "paused")
        self.assertNotContains(self.get(), 'id="pause"')
        self.assertContains(self.get(), "Start again")
        self.post("resume")
        self.assertEqual((self.state(), self.run_.jobs.count()), ("queued", 2))
        self.post("cancel")
        self.assertEqual(self.state(), "cancelled")
        self.assertNotContains(self.get(), 'id="cancel"')

    def test_resuming_names_the_step_it_goes_on_from(self) -> None:
        kept_state(self.run_, 20)
        self.post("pause")
        self.assertContains(self.get(), "Resume from step 20")

    def test_htmx_gets_the_living_part_and_the_tray_is_told(self) -> None:
        response = self.post("pause", **HTMX)
        self.assertContains(response, 'data-state="paused"')
        self.assertNotContains(response, "<html")
        self.assertIn("jobs-changed", json.loads(response["HX-Trigger"]))

    def test_a_running_run_is_pausing_until_its_job_has_stopped(self) -> None:
        claim = taken(self.run_)
        self.assertContains(self.post("pause", **HTMX), "Pausing")
        page = self.get()
        self.assertNotContains(page, 'id="pause"')
        self.assertNotContains(page, 'id="resume"')
        claim.finish(Job.State.CANCELLED)
        self.assertContains(self.get(), 'id="resume"')

    def test_what_is_not_possible_is_said_and_changes_nothing(self) -> None:
        response = self.client.post(reverse("training-resume", args=[self.run_.pk]), follow=True)
        self.assertContains(response, "only a stopped run can be resumed")
        response = self.post("resume", **HTMX)
        self.assertIn("only a stopped run", json.loads(response["HX-Trigger"])["run-said"])
        self.assertEqual((self.state(), self.run_.jobs.count()), ("queued", 1))

    def test_looking_is_not_acting(self) -> None:
        self.assertEqual(self.client.get(reverse("training-pause", args=[self.run_.pk])).status_code, 405)

    def test_a_pinned_checkpoint_says_so_and_can_be_let_go(self) -> None:
        checkpoint = kept_checkpoint(self.run_, 10)
        address = reverse("training-pin", args=[checkpoint.pk])
        self.assertRedirects(self.client.post(address, {"pinned": "1"}), page_of(self.run_))
        self.assertContains(self.get(), ">pinned<")
        self.assertContains(self.client.post(address, {"pinned": "0"}, **HTMX), 'aria-pressed="false"')
        checkpoint.refresh_from_db()
        self.assertFalse(checkpoint.pinned)


class WhoMaySeeAndActTest(RunPageCase):
    def setUp(self) -> None:
        super().setUp()
        with_results(self.run_)
        self.image = self.run_.validation_images.get(step=0, seq=0)
        self.checkpoint = self.run_.checkpoints.get(step=10)
        Checkpoint.objects.filter(pk=self.checkpoint.pk).update(blob=files.publish(starter_lora(), "x"))

    def seen(self) -> list[str]:
        picture = [self.run_.pk, self.image.pk]
        return [
            page_of(self.run_),
            reverse("training-validation", args=picture),
            reverse("training-validation-thumbnail", args=picture),
            *(reverse("training-download", args=[self.checkpoint.pk, form]) for form in FORMATS),
            f"{reverse('training-compare')}?a={self.run_.pk}",
            f"{reverse('training-new')}?clone={self.run_.pk}",
        ]

    def acted(self) -> list[str]:
        actions = [reverse(f"training-{action}", args=[self.run_.pk]) for action in ("pause", "resume", "cancel")]
        return [*actions, reverse("training-pin", args=[self.checkpoint.pk])]

    def test_the_team_sees_everything_and_may_touch_nothing(self) -> None:
        self.client.force_login(self.bob)
        for address in self.seen():
            self.assertEqual(self.client.get(address).status_code, 200, address)
        for address in self.acted():
            self.assertEqual(self.client.post(address).status_code, 404, address)
        page = self.get()
        for button in ("pause", "cancel", f"pin-{self.checkpoint.pk}"):
            self.assertNotContains(page, f'id="{button}"')
        self.assertContains(page, "?clone=")
        self.assertEqual(self.state(), "queued")

    def test_a_stranger_finds_nothing(self) -> None:
        self.client.force_login(self.charlie)
        for address in self.seen():
            self.assertEqual(self.client.get(address).status_code, 404, address)
        for address in self.acted():
            self.assertEqual(self.client.post(address, {"pinned": "1"}).status_code, 404, address)
        self.checkpoint.refresh_from_db()
        self.assertEqual((self.state(), self.checkpoint.pinned), ("queued", False))

    def test_staff_of_the_team_may_act(self) -> None:
        self.bob.is_staff = True
        self.bob.save()
        self.client.force_login(self.bob)
        self.assertContains(self.get(), 'id="pause"')
        self.assertRedirects(self.post("pause"), page_of(self.run_))
        self.assertEqual(self.state(), "paused")

    def test_nobody_is_asked_to_sign_in_first(self) -> None:
        self.client.logout()
        for address in self.seen():
            self.assertRedirects(self.client.get(address), f"/login/?next={quote(address)}")

    def test_a_picture_is_found_only_under_its_own_run(self) -> None:
        other = queued_run(self.alice, "autumn")
        address = reverse("training-validation", args=[other.pk, self.image.pk])
        self.assertEqual(self.client.get(address).status_code, 404)


class BytesTest(RunPageCase):
    def setUp(self) -> None:
        super().setUp()
        results.keep_validation_image(
            self.run_, {"step": 0, "seq": 0, "prompt": "red", "seed": 1}, png_bytes("red", size=512)
        )
        self.image = ValidationImage.objects.get()

    def bytes_of(self, name: str, query: str = "", **headers: Any) -> Any:
        return self.client.get(reverse(name, args=[self.run_.pk, self.image.pk]) + query, **headers)

    def test_the_picture_comes_whole_and_the_thumbnail_small(self) -> None:
        whole = self.bytes_of("training-validation")
        self.assertEqual((whole["Content-Type"], whole.content), ("image/png", png_bytes("red", size=512)))
        small = self.bytes_of("training-validation-thumbnail")
        self.assertEqual(small["Content-Type"], "image/webp")
        self.assertEqual(Image.open(io.BytesIO(small.content)).size, (256, 256))
        self.assertEqual(small["X-Content-Type-Options"], "nosniff")

    def test_a_small_picture_is_not_blown_up(self) -> None:
        self.assertEqual(Image.open(io.BytesIO(webp_of(png_bytes(size=64)))).size, (64, 64))

    def test_only_an_address_that_names_the_bytes_holds_for_ever(self) -> None:
        """A run that goes on from an earlier step draws some pictures again."""
        self.assertIn("immutable", self.bytes_of("training-validation", "?v=1234")["Cache-Control"])
        self.assertIn("no-cache", self.bytes_of("training-validation")["Cache-Control"])

    def test_what_the_browser_has_is_not_sent_again(self) -> None:
        for name in ("training-validation", "training-validation-thumbnail"):
            etag = self.bytes_of(name)["ETag"]
            self.assertEqual(self.bytes_of(name, HTTP_IF_NONE_MATCH=etag).status_code, 304)

    def test_a_picture_drawn_again_has_another_address_and_other_bytes(self) -> None:
        before = self.get().content.decode().count(self.image.blob_id[:12])
        results.keep_validation_image(
            self.run_, {"step": 0, "seq": 0, "prompt": "red", "seed": 1}, png_bytes("blue", size=512)
        )
        self.assertTrue(before)
        self.assertNotContains(self.get(), self.image.blob_id[:12])
        colour = Image.open(io.BytesIO(self.bytes_of("training-validation-thumbnail").content)).getpixel((9, 9))
        self.assertGreater(colour[2], 200)  # type: ignore[index]

    def test_bytes_that_are_gone_are_a_404(self) -> None:
        files.path_of(self.image.blob_id).unlink()
        self.assertEqual(self.bytes_of("training-validation").status_code, 404)


class DownloadTest(RunPageCase):
    def test_every_format_comes_as_a_file(self) -> None:
        checkpoint = kept_checkpoint(self.run_, 10, data=starter_lora())
        page = self.get()
        for form in FORMATS:
            address = reverse("training-download", args=[checkpoint.pk, form])
            self.assertContains(page, address)
            response = self.client.get(address)
            self.assertIn("attachment", response["Content-Disposition"])
            self.assertIn("spring", response["Content-Disposition"])
            self.assertGreater(len(response.content), 1000)

    def test_an_unknown_format_is_a_404_and_a_broken_lora_a_message(self) -> None:
        checkpoint = kept_checkpoint(self.run_, 10)  # no LoRA at all
        address = reverse("training-download", args=[checkpoint.pk, "exe"])
        self.assertEqual(self.client.get(address).status_code, 404)
        address = reverse("training-download", args=[checkpoint.pk, "kohya"])
        self.assertRedirects(self.client.get(address), page_of(self.run_))


class CompareTest(RunPageCase):
    def setUp(self) -> None:
        super().setUp()
        with_results(self.run_)
        self.other = with_results(queued_run(self.bob, "autumn", rank=4, max_train_steps=50))

    def compare(self, query: str = "") -> Any:
        return self.client.get(f"{reverse('training-compare')}?a={self.run_.pk}&b={self.other.pk}{query}")

    def test_both_curves_are_in_one_drawing(self) -> None:
        page = self.compare()
        loss, validation = page.context["comparison"].charts
        self.assertEqual([line.style for line in loss.lines], ["raw of-a", "raw of-b", "smooth of-a", "smooth of-b"])
        self.assertEqual([line.name for line in validation.lines], ["A", "B"])

    def test_the_settings_that_differ_are_told_and_all_on_request(self) -> None:
        differing = {str(row.label): (row.a, row.b) for row in self.compare().context["comparison"].differing}
        self.assertEqual(differing["Rank"], ("8", "4"))
        self.assertEqual(differing["Steps"], ("100", "50"))
        self.assertNotIn("Seed", differing)
        self.assertNotContains(self.compare(), "Weight decay")
        self.assertContains(self.compare("&all=1"), "Weight decay")

    def test_the_figures_stand_beside_each_other(self) -> None:
        figures = {str(row.label): row.a for row in self.compare().context["comparison"].figures}
        self.assertEqual(figures["Best validation loss"], "0.3000 at step 10")
        self.assertEqual((figures["Steps"], figures["Device"]), ("30", "cpu"))

    def test_pictures_of_the_same_prompt_are_paired_at_their_nearest_steps(self) -> None:
        self.other.validation_images.filter(step=10).update(step=12)
        comparison = self.compare().context["comparison"]
        self.assertEqual(comparison.steps, [(0, 0), (10, 12), (20, 20)])
        [red, _blue] = comparison.pictures
        self.assertEqual([(a.step, b.step) for a, b in zip(red.a, red.b, strict=True)], comparison.steps)

    def test_a_prompt_that_only_one_has_drawn_comes_last(self) -> None:
        self.other.validation_images.filter(seq=0).update(prompt="green loafers")
        prompts = [row.prompt for row in self.compare().context["comparison"].pictures]
        self.assertEqual(prompts, ["blue <b>boots</b>", "red sneakers", "green loafers"])

    def test_one_run_with_itself_differs_in_nothing(self) -> None:
        page = self.client.get(f"{reverse('training-compare')}?a={self.run_.pk}&b={self.run_.pk}")
        self.assertContains(page, "Both were made from the same photos, base and settings.")

    def test_before_two_are_chosen_it_offers_what_is_seen(self) -> None:
        page = self.client.get(reverse("training-compare"))
        self.assertContains(page, "autumn · Queued")
        self.client.force_login(self.charlie)
        self.assertContains(self.client.get(reverse("training-compare")), "Nothing to compare yet")

    def test_what_is_no_id_or_not_ones_own_is_a_404(self) -> None:
        for wanted in ("nonsense", "9f0c6c60-0000-4000-8000-000000000000"):
            response = self.client.get(reverse("training-compare"), {"a": wanted, "b": str(self.run_.pk)})
            self.assertEqual(response.status_code, 404)


def test_each_step_is_paired_with_the_nearest_of_the_other_run() -> None:
    assert nearest_pairs([0, 100, 200], [0, 100, 200]) == [(0, 0), (100, 100), (200, 200)]
    assert nearest_pairs([0, 50, 100], [0, 90]) == [(0, 0), (50, 90), (100, 90)]
    assert nearest_pairs([0, 100], [0, 100, 200]) == [(0, 0), (100, 100), (100, 200)]
    assert nearest_pairs([], [0, 10]) == [(0, 0), (10, 10)]
    assert nearest_pairs([], []) == []


class RunListTest(BaseTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.alice)
        self.run_ = with_curve(queued_run(self.alice, "spring"))

    def names(self, **query: Any) -> list[str]:
        return [row.run.name for row in self.client.get(reverse("training"), query).context["rows"]]

    def test_every_run_leads_to_its_page_and_a_new_one_is_a_click_away(self) -> None:
        page = self.client.get(reverse("training"))
        self.assertContains(page, f'href="{page_of(self.run_)}"')
        self.assertContains(page, reverse("training-new"))

    def test_name_state_and_dataset_narrow_the_list(self) -> None:
        queued_run(self.alice, "Summer")
        TrainingRun.objects.filter(name="Summer").update(
            state="failed", dataset_version=photos_version(self.alice, "boots")
        )
        boots = photos_version(self.alice, "boots").dataset
        self.assertEqual(self.names(), ["Summer", "spring"])
        self.assertEqual(self.names(q="SUM"), ["Summer"])
        self.assertEqual(self.names(state="queued"), ["spring"])
        self.assertEqual(self.names(dataset=boots.pk), ["Summer"])
        self.assertEqual(self.names(state="failed", q="spring"), [])
        self.assertContains(self.client.get(reverse("training"), {"q": "nothing"}), "No run matches")

    def test_a_living_list_asks_again_for_what_it_shows(self) -> None:
        page = self.client.get(reverse("training"), {"q": "spr"})
        self.assertContains(page, 'hx-get="/training/?q=spr"')

    def test_nonsense_in_the_address_does_no_harm(self) -> None:
        for query in ({"state": "magic"}, {"dataset": "x"}, {"page": "-3"}, {"page": "x"}):
            self.assertEqual(self.client.get(reverse("training"), query).status_code, 200)

    def test_other_peoples_datasets_are_not_offered(self) -> None:
        photos_version(self.charlie, "secret shoes")
        self.assertNotContains(self.client.get(reverse("training")), "secret shoes")

    def test_many_runs_come_in_pages_that_keep_the_filter(self) -> None:
        for number in range(25):
            queued_run(self.alice, f"many-{number:02d}")
        page = self.client.get(reverse("training"), {"q": "many"})
        self.assertEqual(len(page.context["rows"]), 20)
        self.assertContains(page, "?q=many&amp;page=2")
        self.assertEqual(len(self.names(q="many", page=2)), 5)

    def test_without_runs_the_page_says_how_to_begin(self) -> None:
        self.client.force_login(self.charlie)
        page = self.client.get(reverse("training"))
        self.assertContains(page, "No runs yet")
        self.assertContains(page, reverse("datasets"))
        self.assertContains(page, reverse("training-new"))
