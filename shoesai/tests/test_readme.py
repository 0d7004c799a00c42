"""Both READMEs tell the same: the same commands, tables, links and settings, in two languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
ENGLISH, PORTUGUESE = (ROOT / name for name in ("README.md", "README.pt-BR.md"))
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMENT = re.compile(r"\s+# .*$", re.MULTILINE)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)]+)\)")


def _both(pattern: re.Pattern[str]) -> list[list[str]]:
    """What is found outside of fenced blocks."""
    texts = (FENCED.sub("", path.read_text("utf-8")) for path in (ENGLISH, PORTUGUESE))
    return [sorted(set(pattern.findall(text))) for text in texts]


def test_both_have_the_same_commands() -> None:
    """Comments are translated, commands are not."""
    english, portuguese = (FENCED.findall(path.read_text("utf-8")) for path in (ENGLISH, PORTUGUESE))
    assert [language for language, _ in english] == [language for language, _ in portuguese]
    commands = [[COMMENT.sub("", block) for language, block in blocks if language] for blocks in (english, portuguese)]
    assert commands[0] == commands[1]
    lines = [[len(block.splitlines()) for language, block in blocks] for blocks in (english, portuguese)]
    assert lines[0] == lines[1]


def test_both_name_the_same_things() -> None:
    english, portuguese = _both(CODE)
    assert english == portuguese


def test_both_have_the_same_tables() -> None:
    rows = [[line.count("|") for line in path.read_text("utf-8").splitlines() if line.startswith("|")]
            for path in (ENGLISH, PORTUGUESE)]  # fmt: skip
    assert rows[0] == rows[1]


def test_both_lead_to_the_same_pages_and_to_each_other() -> None:
    english, portuguese = (set(links) for links in _both(LINK))
    assert english - {PORTUGUESE.name} == portuguese - {ENGLISH.name}
    assert PORTUGUESE.name in english
    assert ENGLISH.name in portuguese


@pytest.mark.parametrize("path", [ENGLISH, PORTUGUESE], ids=lambda path: path.name)
def test_what_it_leads_to_is_there(path: Path) -> None:
    links = LINK.findall(path.read_text("utf-8"))
    assert [link for link in links if not link.startswith("http") and not (ROOT / link).exists()] == []
