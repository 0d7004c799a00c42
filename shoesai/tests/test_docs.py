"""The documentation's pictures are there and small, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from PIL import Image

ROOT = Path(settings.BASE_DIR)
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("README*.md"), *DOCS.rglob("*.md")])
PICTURES = sorted(path for path in DOCS.rglob("*") if path.suffix in {".webp", ".png", ".jpg", ".jpeg", ".gif"})
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
PICTURE_BYTES, DOCS_BYTES = 100_000, 8_000_000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_shows_and_leads_to_is_there(page: Path) -> None:
    links = LINK.findall(FENCED.sub("", page.read_text("utf-8")))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_a_small_webp_that_opens(path: Path) -> None:
    assert path.stat().st_size <= PICTURE_BYTES
    with Image.open(path) as picture:
        picture.load()
        assert picture.format == "WEBP"


def test_a_picture_is_shown_by_some_page() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES)
    assert [path.name for path in PICTURES if path.name not in text] == []


def test_the_documentation_is_small_in_all() -> None:
    assert sum(path.stat().st_size for path in DOCS.rglob("*") if path.is_file()) <= DOCS_BYTES
