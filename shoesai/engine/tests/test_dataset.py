"""Photos become latents once; everything random depends on the seed and the place in the run only."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from shoesai.engine import dataset
from shoesai.engine.base_model import Base
from shoesai.engine.specs import PhotoInput, SpecError


def test_a_photo_is_turned_upright_put_on_white_and_cropped(tmp_path: Path) -> None:
    picture = Image.new("RGB", (128, 64), "black")
    picture.paste("white", (0, 0, 64, 64))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise: left becomes top
    picture.save(tmp_path / "turned.jpg", exif=exif, quality=100)
    pixels = dataset.read_photo(str(tmp_path / "turned.jpg"), 64)
    assert pixels.shape == (3, 64, 64)
    assert pixels[:, 5].min() > 0.95
    assert pixels[:, -5].max() < -0.95

    Image.new("RGBA", (70, 90), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert dataset.read_photo(str(tmp_path / "clear.png"), 64).min() == 1


def test_a_broken_photo_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    with pytest.raises(SpecError, match=r"broken\.png is not a picture"):
        dataset.read_photo(str(tmp_path / "broken.png"), 64)


def test_latents_and_captions_are_what_the_pipeline_makes_of_them(base: Base, photos: tuple[PhotoInput, ...]) -> None:
    data = dataset.encode(base.pipeline, photos, 64, lambda message: None)
    assert data.means.shape == data.stds.shape == (5, 4, 8, 8)
    with torch.no_grad():
        posterior = base.pipeline.vae.encode(dataset.read_photo(photos[3].path, 64)[None]).latent_dist
    assert torch.allclose(data.means[3], posterior.mean[0], atol=1e-5)
    assert torch.allclose(data.stds[3], posterior.std[0], atol=1e-5)
    expected, _ = base.pipeline.encode_prompt(photos[3].caption, "cpu", 1, False)
    assert torch.equal(data.embeddings[3], expected[0])


def test_every_epoch_shows_each_photo_once_in_its_own_order() -> None:
    epochs = [[dataset.photo_at(9, epoch * 20 + place, 20) for place in range(20)] for epoch in range(3)]
    assert all(sorted(order) == list(range(20)) for order in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[1] == [dataset.photo_at(9, 20 + place, 20) for place in range(20)]


def test_a_sample_depends_on_seed_and_place_and_not_on_the_batch_it_is_in(
    base: Base, photos: tuple[PhotoInput, ...]
) -> None:
    data = dataset.encode(base.pipeline, photos, 64, lambda message: None)
    one, other = (dataset.batch_at(data, range(4, 8), seed, 1000, 0.18, 0.5) for seed in (3, 4))
    again = dataset.batch_at(data, [6], 3, 1000, 0.18, 0.5)
    for name in ("latents", "noise", "timesteps", "embeddings"):
        assert torch.equal(getattr(one, name)[2], getattr(again, name)[0])
    assert not torch.equal(one.noise, other.noise)


def test_captions_are_dropped_as_often_as_asked(base: Base, photos: tuple[PhotoInput, ...]) -> None:
    data = dataset.encode(base.pipeline, photos, 64, lambda message: None)
    batch = dataset.batch_at(data, range(400), 3, 1000, 0.18, dropout=0.3)
    dropped = (batch.embeddings == data.no_caption).flatten(1).all(dim=1).float().mean()
    assert 0.22 < dropped < 0.38
