"""A run is looked at from outside, always in the same way."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from PIL import Image

from shoesai.engine.progress import Stopped
from shoesai.engine.tests.conftest import Recorder
from shoesai.engine.tests.runs import SPEC, Photos, final_bytes, held_out, kept_state, stop_when, trained

VALIDATED = dataclasses.replace(SPEC, validation_steps=3, validation_prompts=("a red boot", "a blue sneaker"))


def test_pictures_begin_with_the_bare_base_and_have_their_own_seeds(
    base_folder: str, photos: Photos, tmp_path: Path
) -> None:
    samples = trained(VALIDATED, base_folder, photos, tmp_path)["sample"]
    assert [(s["step"], s["seq"], s["seed"]) for s in samples] == [
        (step, seq, seed) for step in (0, 3, 6) for seq, seed in ((0, 2**64 - 1), (1, 0))
    ]
    assert samples[1]["prompt"] == "a blue sneaker"
    with Image.open(samples[3]["path"]) as picture:
        assert picture.size == (64, 64)
    assert len({Path(sample["path"]).read_bytes() for sample in samples}) == 6


def test_seeds_can_be_given(base_folder: str, photos: Photos, tmp_path: Path) -> None:
    spec = dataclasses.replace(VALIDATED, validation_seeds=(5, 6), max_train_steps=1, lr_warmup_steps=0)
    assert [s["seed"] for s in trained(spec, base_folder, photos, tmp_path)["sample"]] == [5, 6, 5, 6]


def test_the_loss_on_held_out_photos_is_measured_at_the_start_and_told_with_the_checkpoint(
    base_folder: str, photos: Photos, tmp_path: Path
) -> None:
    emitted = trained(VALIDATED, base_folder, held_out(photos, 2), tmp_path)
    assert [(event["step"], event["photos"]) for event in emitted["validation"]] == [(0, 2), (3, 2), (6, 2)]
    assert [event["validation_loss"] for event in emitted["checkpoint"]] == [
        event["loss"] for event in emitted["validation"][1:]
    ]
    assert (emitted["begun"][0]["photos"], emitted["begun"][0]["held_out"]) == (3, 2)


def test_the_first_measurement_is_of_the_base_whatever_the_recipe(
    base_folder: str, photos: Photos, tmp_path: Path
) -> None:
    photos = held_out(photos, 2)
    other = dataclasses.replace(VALIDATED, seed=1, learning_rate=1e-5, rank=4, masked_loss=True)
    one, two = (trained(spec, base_folder, photos, tmp_path / str(spec.rank)) for spec in (VALIDATED, other))
    assert one["validation"][0]["loss"] == two["validation"][0]["loss"]
    assert one["validation"][-1]["loss"] != two["validation"][-1]["loss"]


def test_nothing_is_learned_from_held_out_photos(base_folder: str, photos: Photos, tmp_path: Path) -> None:
    without = trained(SPEC, base_folder, photos[2:], tmp_path / "without")
    unseen = trained(SPEC, base_folder, held_out(photos, 2), tmp_path / "unseen")
    assert final_bytes(without) == final_bytes(unseen)


def test_looking_does_not_change_the_training(base_folder: str, photos: Photos, tmp_path: Path) -> None:
    photos = held_out(photos, 2)
    looked_at = trained(VALIDATED, base_folder, photos, tmp_path / "1")
    assert final_bytes(looked_at) == final_bytes(trained(SPEC, base_folder, photos, tmp_path / "2"))


def test_a_run_that_was_stopped_amid_its_pictures_makes_them_when_it_goes_on(
    base_folder: str, photos: Photos, tmp_path: Path
) -> None:
    emitted = Recorder()
    with pytest.raises(Stopped):
        trained(VALIDATED, base_folder, photos, tmp_path, (), stop_when(emitted, "sample", 3, "yield"), emitted)
    assert [event["partial"] for event in emitted["checkpoint"]] == [False]
    resumed = trained(VALIDATED, base_folder, photos, tmp_path / "on", [kept_state(emitted["checkpoint"][0])])
    assert [(s["step"], s["seq"]) for s in resumed["sample"]] == [(3, 0), (3, 1), (6, 0), (6, 1)]


def test_a_run_ends_with_a_checkpoint_when_its_time_is_over(base_folder: str, photos: Photos, tmp_path: Path) -> None:
    spec = dataclasses.replace(VALIDATED, max_train_minutes=1e-6)
    emitted = trained(spec, base_folder, photos, tmp_path)
    assert [(event["step"], event["partial"]) for event in emitted["checkpoint"]] == [(1, False)]
    assert "max_train_minutes" in emitted["note"][0]["message"]
    assert [sample["step"] for sample in emitted["sample"]] == [0, 0, 1, 1]
