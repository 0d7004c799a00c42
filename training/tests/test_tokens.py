"""The token count says what the model will read."""

from __future__ import annotations

import shutil
from pathlib import Path

from django.conf import settings

from shoesai.testing import BaseTestCase, starter
from training.models import BaseModel
from training.tokens import LIMIT, count_tokens

TEXTS = ("", "red leather sneakers, white sole", "NAÏVE  shoe's\n\n12 ½ 鞋 👟", "<|endoftext|> it's", "x" * 300)


class TokensTest(BaseTestCase):
    def test_an_empty_prompt_has_the_two_marks_and_a_known_word_is_one_token(self) -> None:
        self.assertEqual([self.count(text) for text in ("", "red", "red sneakers, white sole")], [2, 3, 7])

    def test_what_is_dropped_begins_with_the_first_word_that_is_not_read_whole(self) -> None:
        tokens = count_tokens(starter(), "red " * 74 + "white leather sole")
        assert tokens
        self.assertEqual((tokens.count, tokens.is_too_long, tokens.dropped), (79, True, "leather sole"))
        fits = count_tokens(starter(), "red " * 75)
        assert fits
        self.assertEqual((fits.count, fits.is_too_long, fits.dropped), (LIMIT, False, ""))
        half = count_tokens(starter(), "red " * 73 + "xyz")
        assert half
        self.assertEqual((half.count, half.dropped), (78, "xyz"))

    def test_a_base_model_with_vocabulary_and_merges_alone_counts_the_same(self) -> None:
        old = self.base_model("old", "vocab.json", "merges.txt")
        for text in TEXTS:
            self.assertEqual(count_tokens(old, text), count_tokens(starter(), text), text)

    def test_transformers_counts_the_same(self) -> None:
        from transformers import CLIPTokenizer

        peer = CLIPTokenizer.from_pretrained(starter().path / "tokenizer")
        for text in TEXTS:
            self.assertEqual(self.count(text), len(peer(text, truncation=False).input_ids), text)

    def test_a_base_model_whose_files_lie_elsewhere_has_no_count(self) -> None:
        self.assertIsNone(count_tokens(BaseModel(name="far", format="diffusers", location="far"), "red"))

    def count(self, text: str) -> int:
        tokens = count_tokens(starter(), text)
        assert tokens
        return tokens.count

    def base_model(self, name: str, *names: str) -> BaseModel:
        folder = Path(settings.MODELS_DIR) / name / "tokenizer"
        folder.mkdir(parents=True)
        for file in names:
            shutil.copy(starter().path / "tokenizer" / file, folder)
        self.addCleanup(shutil.rmtree, folder.parent)
        return BaseModel(name=name, format="diffusers", location=name)
