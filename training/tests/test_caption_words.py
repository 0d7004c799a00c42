"""Captions as people write them, and what they say."""

from __future__ import annotations

import numpy as np
import pytest

from shoesai.starter import draw
from training.datasets.caption_words import CaptionWords, read


def said(caption: str) -> dict[str, str]:
    words = read(caption)
    names = ("colour", "material", "type", "view", "background", "side")
    return {name: value for name in names if (value := getattr(words, name)) is not None}


@pytest.mark.parametrize(
    ("caption", "says"),
    [
        ("", {}),
        ("shoe 17", {}),
        (
            "A professional product photo of red leather sneakers on white background, high quality",
            {"colour": "red", "material": "leather", "type": "sneakers", "background": "white"},
        ),
        ("sneakers on white background", {"type": "sneakers", "background": "white"}),
        ("white sneakers on white background", {"colour": "white", "type": "sneakers", "background": "white"}),
        ("Black loafer, isolated on white", {"colour": "black", "type": "loafers", "background": "white"}),
        ("a logo in black on white sneakers", {"colour": "white", "type": "sneakers"}),
        ("low-profile metallic gold heels", {"colour": "gold", "type": "heels"}),
        ("boots with white soles", {"type": "boots"}),
        ("red with white soles", {"colour": "red"}),
        ("sneakers, black rubber sole, sky blue background", {"type": "sneakers", "background": "sky blue"}),
        ("running shoes in navy blue mesh", {"colour": "navy", "material": "mesh", "type": "running shoes"}),
        ("off-white high-top sneaker", {"colour": "cream", "type": "high-tops"}),
        ("dark green slip-on shoes, 3/4 view", {"colour": "green", "type": "slip-ons", "view": "three-quarter"}),
        ("Oxford shoe, three-quarter view", {"type": "oxfords", "view": "three-quarter"}),
        ("left side view of an ankle boot", {"type": "ankle boots", "view": "side", "side": "left"}),
        ("sandals, facing right", {"type": "sandals", "side": "right"}),
        ("sandals, toe pointing to the left", {"type": "sandals", "side": "left"}),
        ("just right for summer", {}),
        ("a hundred tanned redwood trees", {}),  # red, tan inside of words
        ("black and white sneakers", {"colour": "black", "type": "sneakers"}),
        ("background in light grey, blue trainers", {"colour": "blue", "type": "sneakers", "background": "grey"}),
        (
            "Tênis branco de couro, fundo branco, vista lateral",
            {"colour": "white", "material": "leather", "type": "sneakers", "background": "white", "view": "side"},
        ),
        ("tênis de corrida azul-marinho com solado branco", {"colour": "navy", "type": "running shoes"}),
        ("botas pretas de camurça", {"colour": "black", "material": "suede", "type": "boots"}),
        ("bota de cano curto marrom, fundo infinito cinza claro",
         {"colour": "brown", "type": "ankle boots", "background": "grey"}),
        ("sapatilha rosa virada para a esquerda", {"colour": "pink", "type": "flats", "side": "left"}),
        ("sandália, fundo branco", {"type": "sandals", "background": "white"}),
        ("mocassim de couro sintético vermelho",
         {"colour": "red", "material": "synthetic", "type": "loafers"}),
    ],
)  # fmt: skip
def test_a_caption_says(caption: str, says: dict[str, str]) -> None:
    assert said(caption) == says


def test_all_colours_of_a_shoe_are_named_and_those_of_its_parts_and_background_are_not() -> None:
    words = read("Black and red leather sneakers with white laces on beige background")
    assert words.colours == ("black", "red")
    assert words.background == "beige"


def test_a_word_counts_as_a_whole_only() -> None:
    assert read("credible, stand, bootlegged, suedehead") == CaptionWords()


@pytest.mark.parametrize("setting", [True, False])
def test_it_reads_every_caption_that_the_starter_writes(setting: bool) -> None:
    rng = np.random.default_rng(5)
    for _ in range(500):
        shoe = draw.random_shoe(rng)
        caption, says = draw.describe(shoe, rng, mention_background=setting)
        words = read(caption)
        assert (words.type, words.colour) == (shoe.type, shoe.colour), caption
        assert words.material == (shoe.material if "material" in says else None), caption
        assert words.background == (shoe.background if "background" in says else None), caption
        assert words.view == (shoe.view if "view" in says else None), caption
        assert words.side == (shoe.facing if "facing" in says else None), caption
