"""What is stored in English is shown in the reader's language."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.utils.translation import override

from shoesai.sentences import PLACE, SENTENCES, pattern_of, said

# In the code these beginnings stand apart from what follows them.
COMPOSED = re.compile("^(must be|Paused;|Cancelled;) ")
SAID_IN = ("shoesai/engine", "shoesai/jobs", "training", "generation", "evaluation")


def test_a_stored_sentence_is_said_in_the_readers_language() -> None:
    with override("pt-br"):
        assert said("Picture 1 of 4") == "Imagem 1 de 4"


def test_a_sentence_inside_a_sentence_is_translated_too() -> None:
    with override("pt-br"):
        words = said("The worker was lost: its worker process is gone (1 of at most 3 times); begins again.")
    assert "worker was" not in words
    assert "begins again" not in words


def test_numbers_inside_get_the_readers_decimal_sign() -> None:
    with override("pt-br"):
        assert said("Training, loss 0.1234").endswith("0,1234")


@pytest.mark.parametrize("language", ["en", "pt-br"])
def test_words_that_nobody_has_translated_stay_as_they_are(language: str) -> None:
    with override(language):
        assert said("A word of a library.") == "A word of a library."
        assert said("") == ""


def test_narrow_sentences_come_before_wide_ones() -> None:
    for position, sentence in enumerate(SENTENCES):
        filled = PLACE.sub("7", sentence)
        first = next(each for each in SENTENCES if pattern_of(each).fullmatch(filled))
        assert first == sentence, f"row {position} is never reached, because {first!r} fits first"


def _literals(folder: str) -> str:
    """Every text of the code, with a line end where something is filled in."""
    texts = []
    for path in (Path(settings.BASE_DIR) / folder).rglob("*.py"):
        if "tests" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "\n" for part in node.values]
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def test_every_sentence_is_still_said_somewhere() -> None:
    code = "\n".join(map(_literals, SAID_IN))
    for sentence in SENTENCES:
        for piece in PLACE.sub("\n", COMPOSED.sub("", sentence)).splitlines():
            for words in re.split(r"[;()]| (?=when there)", piece):
                assert words.strip(" .()") in code, f"{sentence!r}: nobody says {words!r} any more"
