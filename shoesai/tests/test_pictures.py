"""What is stored of a picture: upright, RGB on white, sRGB, nothing but pixels."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from shoesai.pictures import NotAPicture, is_bare_png, read_picture
from training.tests.pictures_for_tests import encoded


def opened(data: bytes) -> Image.Image:
    picture = read_picture(data)
    image = Image.open(BytesIO(picture.png))
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", (picture.width, picture.height))
    assert is_bare_png(picture.png)
    return image


def test_a_clean_png_keeps_its_bytes() -> None:
    data = encoded(colour=(10, 200, 30))
    assert read_picture(data).png is data


def test_text_and_what_hides_behind_the_end_are_dropped() -> None:
    note = PngImagePlugin.PngInfo()
    note.add_text("Comment", "taken at home")
    clean = encoded(colour=(1, 2, 3))
    for data in (encoded(colour=(1, 2, 3), pnginfo=note), clean + b"a zip behind the picture"):
        assert read_picture(data).png == clean


def test_the_same_bytes_give_the_same_png() -> None:
    data = encoded(kind="JPEG", colour=(200, 90, 20))
    assert read_picture(data).png == read_picture(data).png


def test_exif_orientation_is_applied_and_exif_is_gone() -> None:
    image = Image.new("RGB", (40, 20), "white")
    image.paste("black", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    out = BytesIO()
    image.save(out, "JPEG", exif=exif, quality=95)
    upright = opened(out.getvalue())
    assert upright.size == (20, 40)
    light = np.asarray(upright.convert("L"))
    assert light[5, 10] < 30
    assert light[35, 10] > 225
    assert not upright.getexif()


@pytest.mark.parametrize(("mode", "clear"), [("RGBA", (255, 0, 0, 0)), ("LA", (0, 0))])
def test_what_is_transparent_becomes_white(mode: str, clear: tuple[int, ...]) -> None:
    assert opened(encoded(mode, colour=clear)).getpixel((5, 5)) == (255, 255, 255)


def test_a_transparent_palette_colour_becomes_white() -> None:
    image = Image.new("P", (40, 32), 0)
    image.putpalette([200, 0, 0, 0, 200, 0])
    out = BytesIO()
    image.save(out, "PNG", transparency=0)
    assert opened(out.getvalue()).getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("mode", "kind", "colour"), [("L", "PNG", 128), ("CMYK", "JPEG", (0, 0, 0, 127)), ("1", "PNG", 1)]
)
def test_other_colour_spaces_become_rgb(mode: str, kind: str, colour: object) -> None:
    opened(encoded(mode, kind, colour=colour))


def test_sixteen_bit_grey_is_scaled_and_not_clipped() -> None:
    out = BytesIO()
    Image.fromarray(np.full((32, 40), 32_768, np.uint16)).save(out, "PNG")
    assert opened(out.getvalue()).getpixel((5, 5)) == (128, 128, 128)


def test_a_profile_that_is_no_profile_does_no_harm() -> None:
    assert opened(encoded(colour=(9, 8, 7), icc_profile=b"not a profile")).getpixel((0, 0)) == (9, 8, 7)


def test_an_srgb_profile_changes_no_colour() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert opened(encoded(colour=(9, 80, 200), icc_profile=profile)).getpixel((0, 0)) == (9, 80, 200)


@pytest.mark.parametrize("cut", [8, 20, 33, 50, 60])
def test_a_cut_off_picture_is_refused_wherever_it_ends(cut: int) -> None:
    noise = Image.effect_noise((40, 32), 60).convert("RGB")
    out = BytesIO()
    noise.save(out, "PNG")
    with pytest.raises(NotAPicture):
        read_picture(out.getvalue()[:cut])
