"""Photos become latents once; everything random depends on the seed and the place in the run only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from shoesai.engine import dataset
from shoesai.engine.base_model import Base
from shoesai.engine.encoding_cache import EncodingCache
from shoesai.engine.specs import PhotoInput, SpecError


def test_a_photo_is_turned_upright_put_on_white_and_cropped(tmp_path: Path) -> None:
    picture = Image.new("RGB", (128, 64), "black")
    picture.paste("white", (0, 0, 64, 64))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise: left becomes top
    picture.save(tmp_path / "turned.jpg", exif=exif, quality=100)
    pixels = dataset.as_tensor(dataset.open_photo(str(tmp_path / "turned.jpg"), 64))
    assert pixels.shape == (3, 64, 64)
    assert pixels[:, 5].min() > 0.95
    assert pixels[:, -5].max() < -0.95

    Image.new("RGBA", (70, 90), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert dataset.as_tensor(dataset.open_photo(str(tmp_path / "clear.png"), 64)).min() == 1


def test_a_broken_photo_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    with pytest.raises(SpecError, match=r"broken\.png is not a picture"):
        dataset.open_photo(str(tmp_path / "broken.png"), 64)


@pytest.fixture
def data(base: Base, photos: tuple[PhotoInput, ...], tmp_path: Path) -> dataset.Encoded:
    return dataset.encode(base, photos, 64, "", EncodingCache(tmp_path, base.folder), lambda message: None)


def test_latents_and_captions_are_what_the_pipeline_makes_of_them(
    base: Base, photos: tuple[PhotoInput, ...], data: dataset.Encoded
) -> None:
    photo = data.photo(3)
    assert photo.mean.shape == photo.std.shape == (4, 8, 8)
    with torch.no_grad():
        pixels = dataset.as_tensor(dataset.open_photo(photos[3].path, 64))
        posterior = base.pipeline.vae.encode(pixels[None]).latent_dist
    assert torch.allclose(photo.mean, posterior.mean[0], atol=1e-5)
    assert torch.allclose(photo.std, posterior.std[0], atol=1e-5)
    expected, _ = base.pipeline.encode_prompt(photos[3].caption, "cpu", 1, False)
    assert torch.equal(data.text(3), expected[0])


def test_trigger_words_go_before_every_caption_that_lacks_them() -> None:
    assert dataset.with_trigger_words("a red boot", "acme style") == "acme style, a red boot"
    assert dataset.with_trigger_words("a boot in acme style", "acme style") == "a boot in acme style"
    assert dataset.with_trigger_words("a red boot", "") == "a red boot"


def test_the_mask_is_the_shoe_and_not_the_white_around_it() -> None:
    picture = Image.new("RGB", (64, 64), "white")
    picture.paste("brown", (16, 16, 48, 48))
    picture.paste("white", (24, 24, 40, 40))  # a white patch inside stays shoe
    mask = dataset.shoe_mask(picture, 8, 8)
    expected = torch.zeros(8, 8)
    expected[2:6, 2:6] = 1
    assert torch.equal(mask, expected)
    assert dataset.shoe_mask(Image.new("RGB", (64, 64), "grey"), 8, 8).min() == 1


def test_every_epoch_shows_each_photo_once_in_its_own_order() -> None:
    epochs = [[dataset.photo_at(9, epoch * 20 + place, 20) for place in range(20)] for epoch in range(3)]
    assert all(sorted(order) == list(range(20)) for order in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[1] == [dataset.photo_at(9, 20 + place, 20) for place in range(20)]


def test_a_sample_depends_on_seed_and_place_and_not_on_the_batch_it_is_in(data: dataset.Encoded) -> None:
    how: dict[str, Any] = {"timesteps": 1000, "scale": 0.18, "dropout": 0.5, "noise_offset": 0.1}
    one, other = (dataset.batch_at(data, range(4, 8), seed=seed, **how) for seed in (3, 4))
    again = dataset.batch_at(data, [6], seed=3, **how)
    for name in ("latents", "noise", "timesteps", "embeddings", "shoe"):
        assert torch.equal(getattr(one, name)[2], getattr(again, name)[0])
    assert not torch.equal(one.noise, other.noise)


def test_captions_are_dropped_as_often_as_asked(data: dataset.Encoded) -> None:
    batch = dataset.batch_at(data, range(400), seed=3, timesteps=1000, scale=0.18, dropout=0.3)
    dropped = (batch.embeddings == data.text(None)).flatten(1).all(dim=1).float().mean()
    assert 0.22 < dropped < 0.38


def test_offset_noise_shifts_whole_channels_by_as_much_as_asked(data: dataset.Encoded) -> None:
    plain, shifted = (
        dataset.batch_at(data, range(200), seed=3, timesteps=1000, scale=0.18, noise_offset=offset)
        for offset in (0.0, 0.5)
    )
    shift = shifted.noise - plain.noise
    assert torch.allclose(shift, shift[:, :, :1, :1].expand_as(shift), atol=1e-5)
    assert shift[:, :, 0, 0].std() == pytest.approx(0.5, rel=0.1)
