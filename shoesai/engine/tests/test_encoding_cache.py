"""Photos and captions are encoded once, and again when anything that matters has changed."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from shoesai.engine import base_model, dataset, trainer
from shoesai.engine.base_model import Base, load_base
from shoesai.engine.encoding_cache import EncodingCache
from shoesai.engine.specs import PhotoInput, TrainInputs
from shoesai.engine.tests.conftest import NEVER, Recorder
from shoesai.engine.tests.runs import SPEC, Photos, final_bytes

Counted = Callable[..., int]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def encode(base: Base, photos: Photos, cache: Path, resolution: int = 64, words: str = "") -> int:
    """How many entries are new."""
    before = entries(cache)
    store = EncodingCache(cache, base.folder)
    dataset.encode(base, photos, resolution, words, store, lambda message: None)
    return entries(cache) - before


def entries(cache: Path) -> int:
    return sum(1 for _ in cache.rglob("*.safetensors"))


def test_the_same_photos_are_encoded_once(base: Base, photos: Photos, cache: Path) -> None:
    assert encode(base, photos, cache) == 5 + 6  # five photos, five captions and ""
    assert encode(base, photos, cache) == 0


def test_what_has_changed_is_encoded_again_and_nothing_else(
    base: Base, photos: Photos, cache: Path, tmp_path: Path
) -> None:
    encode(base, photos, cache)
    Image.new("RGB", (64, 64), "red").save(tmp_path / "new.png")
    other_picture = (dataclasses.replace(photos[0], path=str(tmp_path / "new.png"), sha256=""), *photos[1:])
    other_caption = (dataclasses.replace(photos[0], caption="a green boot"), *photos[1:])
    assert encode(base, other_picture, cache) == 1
    assert encode(base, other_caption, cache) == 1
    assert encode(base, photos, cache, resolution=128) == 5
    assert encode(base, photos, cache, words="acme") == 5
    assert encode(base, photos, cache) == 0


@pytest.mark.parametrize(("part", "again"), [("vae", 5), ("text_encoder", 6), ("unet", 0), ("tokenizer", 6)])
def test_another_encoder_is_another_cache(
    part: str, again: int, base: Base, photos: Photos, cache: Path, tmp_path: Path
) -> None:
    encode(base, photos, cache)
    other = Path(shutil.copytree(base.folder, tmp_path / "other"))
    config = next(path for path in (other / part).iterdir() if path.suffix == ".json")
    config.write_text(config.read_text() + "\n")
    assert encode(load_base(str(other)), photos, cache) == again


def test_a_damaged_entry_is_made_again(base: Base, photos: Photos, cache: Path) -> None:
    encode(base, photos, cache)
    entry = next(iter((cache / "latents").rglob("*.safetensors")))
    entry.write_bytes(entry.read_bytes()[:-5])
    encode(base, photos, cache)
    assert EncodingCache(cache, base.folder).has("latents", entry.stem)


def test_a_training_with_a_warm_cache_needs_no_encoder_and_learns_the_same(
    base_folder: str, photos: Photos, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(name: str) -> Recorder:
        base_model.forget_base()
        (tmp_path / name).mkdir()
        emitted = Recorder()
        inputs = TrainInputs(base_folder, photos, str(tmp_path / name), cache_dir=str(cache))
        trainer.train(SPEC, inputs, emitted, NEVER)
        return emitted

    cold = train("cold")

    def refuse(folder: Path, name: str) -> None:
        raise AssertionError(f"{name} was loaded")

    with monkeypatch.context() as patch:
        patch.setattr(base_model, "_load_encoder", refuse)
        warm = train("warm")
    assert final_bytes(warm) == final_bytes(cold)


def test_the_encoders_leave_memory_and_come_back_for_pictures(base_folder: str, photos: Photos, tmp_path: Path) -> None:
    seen = []

    def watch(event: str, **fields: object) -> None:
        if event == "begun":
            warm = base_model._warm
            assert warm
            seen.append((warm.pipeline.vae, warm.pipeline.text_encoder))

    trainer.train(SPEC, TrainInputs(base_folder, photos, str(tmp_path)), watch, NEVER)
    assert seen == [(None, None)]
    pipeline = load_base(base_folder).pipeline
    assert pipeline.vae is not None
    assert pipeline.text_encoder is not None


def test_a_photo_that_is_gone_is_named(base: Base, cache: Path) -> None:
    with pytest.raises(dataset.SpecError, match=r"gone\.png cannot be read"):
        encode(base, (PhotoInput("/nowhere/gone.png", "a boot"),), cache)
