"""One template, many generations: all or nothing."""

from __future__ import annotations

from typing import Any

from django.test import override_settings
from django.urls import reverse

from generation.models import Generation
from generation.tests.test_portal_generate import HTMX, asked
from shoesai.models import Job
from shoesai.testing import BaseTestCase


class TemplateTest(BaseTestCase):
    def setUp(self) -> None:
        self.client.force_login(self.alice)

    def post(self, prompt: str, **changes: Any) -> Any:
        return self.client.post(reverse("generate"), asked(prompt=prompt, **changes), **HTMX)

    def test_each_prompt_becomes_a_generation_of_its_own_that_remembers_the_template(self) -> None:
        response = self.post("{red|blue} {boots|clogs}")
        self.assertContains(response, '<article class="generation', count=4)
        made = list(Generation.objects.order_by("created_at"))
        self.assertEqual([one.prompt for one in made], ["red boots", "red clogs", "blue boots", "blue clogs"])
        self.assertEqual({one.template for one in made}, {"{red|blue} {boots|clogs}"})

    def test_only_the_words_differ(self) -> None:
        self.post("{red|blue} boots")
        self.assertEqual(len(set(Generation.objects.values_list("seed", flat=True))), 1)
        self.post("{green|grey} boots", seed="77")
        self.assertEqual(Generation.objects.filter(seed=77).count(), 2)

    def test_a_plain_prompt_has_no_template(self) -> None:
        self.post("red boots")
        self.assertEqual(Generation.objects.get().template, "")

    def test_a_bad_template_is_said_at_the_prompt_and_kept(self) -> None:
        response = self.post("{red|blue boots")
        self.assertContains(response, "is never closed", status_code=422)
        self.assertContains(response, "{red|blue boots</textarea>", status_code=422)
        self.assertFalse(Job.objects.exists())

    def test_what_is_wrong_with_one_prompt_stops_them_all(self) -> None:
        response = self.post("{red boots|}")
        self.assertContains(response, "Must not be empty", status_code=422)
        self.assertFalse(Job.objects.exists())

    @override_settings(JOB_MAX_QUEUED_PER_USER=3)
    def test_a_full_queue_leaves_nothing_half_done(self) -> None:
        self.post("old boots")
        response = self.post("{red|blue|green} boots")
        self.assertContains(response, "There is no room for 3 more jobs", status_code=422)
        self.assertEqual([one.prompt for one in Generation.objects.all()], ["old boots"])
        self.post("{red|blue} boots")
        self.assertEqual(Generation.objects.count(), 3)
