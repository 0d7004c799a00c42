"""Captions: one by one, many at once, from a pattern, and proposed by a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.test import override_settings
from django.urls import reverse

from shoesai.jobs import tasks
from shoesai.models import Job
from shoesai.testing import starter
from training.datasets import captions, proposals
from training.datasets.caption_templates import USUAL, filling
from training.datasets.captions import CaptionProblem, Stale
from training.datasets.drafts import DraftProblem, undo
from training.datasets.freezing import freeze
from training.models import DatasetVersion, Photo
from training.tests.datasets_for_tests import draft_of, drawn, plain
from training.tests.test_dataset_pages import PagesTestCase


class CaptionCase(PagesTestCase):
    def draft(self, *texts: str) -> DatasetVersion:
        return draft_of(self.alice, [plain(number, text) for number, text in enumerate(texts)])

    def texts(self, draft: DatasetVersion) -> list[str]:
        return list(draft.photos.values_list("caption", flat=True))


class OneTest(CaptionCase):
    def test_a_caption_is_one_line_and_not_too_long(self) -> None:
        self.assertEqual(captions.clean_caption("  red\n boots  "), "red boots")
        for text in ("x" * 2001, "a\x00b", "half \ud800"):
            with self.assertRaises(CaptionProblem):
                captions.clean_caption(text)

    def test_whoever_is_late_is_told_what_it_is_now_and_loses_nothing(self) -> None:
        draft = self.draft("red boots")
        photo = draft.photos.get()
        captions.set_caption(draft, self.bob, photo.pk, "dark red boots", was="red boots")
        with self.assertRaises(Stale) as caught:
            captions.set_caption(draft, self.alice, photo.pk, "crimson boots", was="red boots")
        self.assertEqual(caught.exception.now, "dark red boots")
        fields = {"caption": "crimson boots", "was": "red boots"}
        page = self.client.post(self.at("dataset-caption", draft, pk=photo.pk), fields, headers={"HX-Request": "true"})
        self.assertContains(page, "dark red boots", status_code=422)
        self.assertContains(page, "crimson boots", status_code=422)

    def test_a_row_is_saved_with_its_tokens_and_without_javascript_one_comes_back(self) -> None:
        starter()
        draft = self.draft("")
        address = self.at("dataset-caption", draft, pk=draft.photos.get().pk)
        row = self.client.post(address, {"caption": "red boots", "was": ""}, headers={"HX-Request": "true"})
        self.assertContains(row, "4 of 77 tokens")
        self.assertContains(row, "data-saved")
        plain_form = self.client.post(address, {"caption": "red leather boots", "was": "red boots"})
        self.assertEqual(plain_form.status_code, 302)
        self.assertContains(self.client.post(address, {"caption": "x" * 2001}), "at most 2000", status_code=422)
        self.assertEqual(self.texts(draft), ["red leather boots"])

    def test_a_frozen_version_is_read_only(self) -> None:
        version = freeze(self.draft("red boots"))
        self.assertContains(self.client.get(self.at("dataset-captions", version)), "readonly")
        refused = self.post("dataset-caption", version, {"caption": "x"}, pk=version.photos.get().pk)
        self.assertContains(refused, "There is no draft to change")


class ManyTest(CaptionCase):
    def test_words_are_replaced_whole_or_in_part_and_with_their_case(self) -> None:
        draft = self.draft("red boots", "Reddish boots", "a red.")
        for find, put, whole, case, after in (
            ("red", "blue", True, False, ["blue boots", "a blue."]),
            ("red", "blue", False, False, ["blue boots", "bluedish boots", "a blue."]),
            ("Red", r"\1", False, True, [r"\1dish boots"]),
        ):
            change = captions.replacing(find, put, whole_words=whole, match_case=case)
            self.assertEqual([each.after for each in captions.changed(draft.photos.all(), change)], after)
        with self.assertRaises(CaptionProblem):
            captions.replacing("", "x", whole_words=True, match_case=False)

    def test_nothing_is_written_before_it_was_looked_at_and_one_undo_takes_it_back(self) -> None:
        draft = self.draft("red boots", "red loafers", "blue boots")
        fields = {"do": "replace", "find": "red", "put": "dark red", "whole_words": "1", "query": "q=boots"}
        preview = self.client.post(self.at("dataset-captions-many", draft), fields)
        self.assertContains(preview, "dark red boots")
        self.assertContains(preview, "1 caption of 2 would change")
        self.assertEqual(self.texts(draft)[0], "red boots")
        done = self.post("dataset-captions-many", draft, fields | {"apply": "1", "digest": preview.context["digest"]})
        self.assertContains(done, "1 caption changed.")
        self.assertEqual(self.texts(draft), ["dark red boots", "red loafers", "blue boots"])
        undo(draft)
        self.assertEqual(self.texts(draft)[0], "red boots")

    def test_what_has_changed_since_the_preview_is_refused(self) -> None:
        draft = self.draft("red boots")
        fields = {"do": "replace", "find": "red", "put": "blue"}
        digest = self.client.post(self.at("dataset-captions-many", draft), fields).context["digest"]
        captions.set_caption(draft, self.bob, draft.photos.get().pk, "old red boots", was="red boots")
        refused = self.post("dataset-captions-many", draft, fields | {"apply": "1", "digest": digest})
        self.assertContains(refused, "have changed meanwhile")
        changes = captions.changed(draft.photos.all(), lambda photo: "x")
        captions.set_caption(draft, self.bob, draft.photos.get().pk, "y", was="old red boots")
        with self.assertRaises(DraftProblem):
            captions.apply(draft, self.alice, "replace", changes)

    def test_the_trigger_word_comes_once_and_goes_again(self) -> None:
        draft = self.draft("red boots", "acmeshoe, blue boots", "")
        put = captions.with_trigger("acmeshoe")
        after = ["acmeshoe, red boots", "acmeshoe, blue boots", "acmeshoe"]
        self.assertEqual([put(photo) for photo in draft.photos.all()], after)
        take = captions.without_trigger("acmeshoe")
        self.assertEqual([take(photo) for photo in draft.photos.all()], ["red boots", "blue boots", ""])
        self.assertContains(self.post("dataset-captions-many", draft, {"do": "trigger"}), "has no trigger word")


class TemplateTest(CaptionCase):
    def filled(self, template: str, caption: str, **more: Any) -> str:
        draft = draft_of(self.alice, [plain(0, caption, **more)], name=f"{template} {caption}"[:120])
        draft.dataset.trigger_words = "acmeshoe"
        return filling(template, draft.dataset)(draft.photos.get())

    def test_fields_come_from_what_the_caption_says(self) -> None:
        said = "red leather sneakers, side view, grey background"
        self.assertEqual(self.filled(USUAL, said), "acmeshoe red leather sneakers, side, white background")
        self.assertEqual(self.filled("{sku}: {file}", "", extra={"sku": "AB-12"}), "AB-12: 100001")

    def test_what_is_not_known_leaves_no_double_space_and_no_lonely_comma(self) -> None:
        self.assertEqual(self.filled("{colour} {material} {type}, {view}, on white", "boots"), "boots, on white")

    def test_an_unknown_field_and_a_lonely_brace_are_named(self) -> None:
        for template, words in (("{price} shoes", "{price}"), ("{colour shoes", "brace"), (" ", "empty")):
            with self.assertRaisesMessage(CaptionProblem, words):
                self.filled(template, "red boots")


class ProposalsTest(CaptionCase):
    def proposed(self, draft: DatasetVersion, **options: Any) -> Job:
        job = proposals.request_proposals(self.alice, draft, **options)
        tasks.run_next("gpu")
        return Job.objects.get(pk=job.pk)

    def test_the_small_clip_names_drawn_shoes_and_a_person_accepts(self) -> None:
        shoes = [drawn(number, colour="red", type="ankle boots") for number in range(4)]
        draft = draft_of(self.alice, [*(self.bare(shoe) for shoe in shoes), plain(9, "mine")])
        job = self.proposed(draft)
        self.assertEqual((job.state, job.result["photos"], job.result["model"]), ("succeeded", 4, "starter"))
        said = [photo.proposal for photo in draft.photos.all()]
        self.assertEqual(said[4], "")
        right = sum("red" in words and "boots" in words for words in said[:4])
        self.assertGreaterEqual(right, 3, said)
        self.assertContains(self.client.get(self.at("dataset-captions", draft)), "4 proposals wait")
        self.post("dataset-proposals", draft, {"do": "accept", "only_bare": "1"})
        self.assertEqual(self.texts(draft), [*said[:4], "mine"])
        self.assertFalse(draft.photos.exclude(proposal="").exists())

    def bare(self, source: Any) -> Any:
        return type(source)(**{**source.__dict__, "caption": ""})

    def test_one_is_accepted_another_dismissed(self) -> None:
        draft = self.draft("", "")
        Photo.objects.update(proposal="red boots")
        first, second = draft.photos.all()
        self.post("dataset-caption", draft, {"accept": "1", "was": ""}, pk=first.pk)
        self.post("dataset-caption", draft, {"dismiss": "1"}, pk=second.pk)
        self.assertEqual(list(draft.photos.values_list("caption", "proposal")), [("red boots", ""), ("", "")])

    def test_only_the_missing_ones_are_looked_at_again(self) -> None:
        draft = self.draft("", "")
        Photo.objects.filter(pk=draft.photos.all()[0].pk).update(proposal="kept")
        self.assertEqual(self.proposed(draft).result["photos"], 1)
        self.assertEqual(draft.photos.all()[0].proposal, "kept")

    def test_a_draft_that_was_frozen_meanwhile_ends_the_job_with_words(self) -> None:
        draft = self.draft("red boots")
        job = proposals.request_proposals(self.alice, draft, everything=True)
        freeze(draft)
        tasks.run_next("gpu")
        job.refresh_from_db()
        self.assertEqual((job.state, job.error_code), ("failed", "no_draft"))

    def test_a_captioning_model_of_the_settings_writes_sentences(self) -> None:
        with override_settings(CAPTION_MODEL=str(small_blip())):
            draft = self.draft("")
            job = self.proposed(draft)
        self.assertEqual(job.state, "succeeded", job.error_text)
        self.assertEqual(job.result["model"], str(small_blip()))

    def test_a_captioning_model_that_is_not_here_says_what_to_do(self) -> None:
        with override_settings(CAPTION_MODEL="nobody/no-such-model"):
            job = self.proposed(self.draft(""))
        self.assertEqual(job.state, "failed")
        self.assertIn("is not on this machine", job.error_text)


def small_blip() -> Path:
    """A BLIP of random weights in its true format, made once."""
    folder = Path(settings.CACHE_DIR) / "small-blip"
    if not folder.is_dir():
        import torch
        from transformers import (
            BertTokenizerFast,
            BlipConfig,
            BlipForConditionalGeneration,
            BlipImageProcessor,
            BlipProcessor,
        )

        torch.manual_seed(0)
        partial = folder.with_suffix(".partial")
        partial.mkdir(parents=True, exist_ok=True)
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]", "a", "red", "shoe", "boot", "white"]
        (partial / "vocab.txt").write_text("\n".join(words))
        tokenizer = BertTokenizerFast(vocab_file=str(partial / "vocab.txt"))
        small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
        text = {**small, "vocab_size": len(words), "encoder_hidden_size": 16, "bos_token_id": 5, "sep_token_id": 3,
                "eos_token_id": 3, "pad_token_id": 0, "max_position_embeddings": 64}  # fmt: skip
        config = BlipConfig(text_config=text, vision_config={**small, "image_size": 32, "patch_size": 16})
        BlipForConditionalGeneration(config).save_pretrained(partial)
        BlipProcessor(BlipImageProcessor(size={"height": 32, "width": 32}), tokenizer).save_pretrained(partial)
        partial.rename(folder)
    return folder


class PageTest(CaptionCase):
    def test_it_shows_what_is_asked_for_in_a_constant_number_of_queries(self) -> None:
        draft = self.draft("red boots", "")
        page = self.client.get(f"{self.at('dataset-captions', draft)}?show=bare")
        self.assertEqual(page.content.count(b"data-caption "), 0)
        self.assertEqual(page.content.count(b'class="caption-row'), 1)
        self.assertContains(page, "Find and replace")
        self.assertContains(page, reverse("dataset-proposals", args=[draft.dataset_id]))
