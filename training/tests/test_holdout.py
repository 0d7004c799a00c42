from __future__ import annotations

import random

from training.holdout import held_out
from training.models import Photo


def photos(count: int, seed: int = 0) -> list[Photo]:
    chance = random.Random(seed)
    return [Photo(blob_id=f"{chance.getrandbits(256):064x}", file_name=f"{number}.png") for number in range(count)]


def test_about_the_fraction_is_held_out_and_at_least_one() -> None:
    assert [len(held_out(photos(count), 0.05, 42)) for count in (5, 20, 40, 200)] == [1, 1, 2, 10]
    assert len(held_out(photos(10), 0.5, 42)) == 5


def test_too_few_photos_are_all_learned_from() -> None:
    assert [held_out(photos(count), 0.5, 42) for count in range(5)] == [set()] * 5


def test_no_fraction_holds_nothing_out() -> None:
    assert held_out(photos(100), 0.0, 42) == set()


def test_neither_order_nor_names_count_but_the_seed_does() -> None:
    mine = photos(100)
    mixed = [Photo(blob_id=photo.blob_id, file_name="x") for photo in reversed(mine)]
    assert held_out(mine, 0.1, 42) == held_out(mixed, 0.1, 42) != held_out(mine, 0.1, 43)


def test_copies_of_one_picture_are_on_the_same_side_and_count_once() -> None:
    mine = photos(20)
    assert held_out(mine * 3, 0.1, 42) == held_out(mine, 0.1, 42)
    assert held_out(photos(1) * 100, 0.1, 42) == set()


def test_few_change_sides_when_photos_are_added() -> None:
    mine = photos(200)
    before, after = held_out(mine, 0.1, 42), held_out(mine + photos(20, seed=1), 0.1, 42)
    assert len(before & after) >= 16
