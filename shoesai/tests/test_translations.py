"""The catalogue is complete, and says what the code says. Needs no gettext on the machine: `make messages` does."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

import polib
import pytest
from django.conf import settings
from django.utils.translation.template import templatize

from shoesai.tests.test_architecture import APPS, sources

ROOT = Path(settings.BASE_DIR)
FOLDER = ROOT / "locale" / "pt_BR" / "LC_MESSAGES"
PLACEHOLDER = re.compile(r"%\(\w+\)[-0-9.]*[a-z]|%[sd%]|\{\w*\}|#|`[^`]+`")
# Functions of django.utils.translation → how many of their arguments are texts.
TEXTS = {"gettext": 1, "gettext_lazy": 1, "gettext_noop": 1, "ngettext": 2, "ngettext_lazy": 2, "pgettext": 2,
         "pgettext_lazy": 2, "npgettext": 3, "npgettext_lazy": 3}  # fmt: skip
CALL = re.compile(r"\b(n?p?gettext)\(")
Key = tuple[str, str]
"""Context and English text."""


@pytest.fixture(scope="module")
def catalogue() -> polib.POFile:
    return polib.pofile(str(FOLDER / "django.po"))


def _pairs(entry: polib.POEntry) -> list[tuple[str, str]]:
    """English beside Portuguese, the plural too."""
    if not entry.msgid_plural:
        return [(entry.msgid, entry.msgstr)]
    return [(entry.msgid, entry.msgstr_plural[0]), (entry.msgid_plural, entry.msgstr_plural[1])]


# --- the catalogue ----------------------------------------------------------------------------------------------
def test_every_text_is_translated(catalogue: polib.POFile) -> None:
    assert [entry.msgid for entry in catalogue if entry.fuzzy or entry.obsolete or not entry.translated()] == []


def test_translations_have_the_same_places_to_fill(catalogue: polib.POFile) -> None:
    wrong = []
    for entry in catalogue:
        for english, portuguese in _pairs(entry):
            if sorted(PLACEHOLDER.findall(english)) != sorted(PLACEHOLDER.findall(portuguese)):
                wrong.append((english, portuguese))
    assert wrong == []


def test_translations_begin_and_end_as_the_english_does(catalogue: polib.POFile) -> None:
    def ends(text: str) -> tuple[bool, ...]:
        return (text.startswith("\n"), text.endswith("\n"), text.startswith(" "), text.endswith(" "),
                text.rstrip().endswith("."), text.rstrip().endswith(":"))  # fmt: skip

    pairs = [pair for entry in catalogue for pair in _pairs(entry)]
    assert [pair for pair in pairs if ends(pair[0]) != ends(pair[1])] == []


def test_the_compiled_catalogue_holds_the_same(catalogue: polib.POFile) -> None:
    """A bare machine has no gettext, so what is compiled is in the repository."""
    with (FOLDER / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for entry in catalogue:
        if entry.msgid_plural:
            said = [compiled.ngettext(entry.msgid, entry.msgid_plural, count) for count in (1, 2)]
            assert said == [entry.msgstr_plural[0], entry.msgstr_plural[1]]
        elif entry.msgctxt:
            assert compiled.pgettext(entry.msgctxt, entry.msgid) == entry.msgstr
        else:
            assert compiled.gettext(entry.msgid) == entry.msgstr
    assert len(list(polib.mofile(str(FOLDER / "django.mo")))) == len(catalogue)


# --- the code ---------------------------------------------------------------------------------------------------
def _in_python(path: Path) -> Iterator[Key]:
    tree = ast.parse(path.read_text("utf-8"))
    names = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation"
        for alias in node.names
    }
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and names.get(node.func.id) in TEXTS):
            continue
        if not isinstance(node.args[0], ast.Name):  # a variable holds what another place has marked
            yield _key(names[node.func.id], node, path)


def _key(function: str, call: ast.Call, where: Path) -> Key:
    texts = []
    for argument in call.args[: TEXTS[function]]:
        place = f"{where.relative_to(ROOT)}:{argument.lineno}"
        assert isinstance(argument, ast.Constant), f"{place}: only a plain text can be collected for translation"
        assert isinstance(argument.value, str), place
        texts.append(argument.value)
    return (texts[0], texts[1]) if "pgettext" in function else ("", texts[0])


def _in_template(path: Path) -> Iterator[Key]:
    """Django makes Python of a template for gettext's own tools; we read that."""
    source = templatize(path.read_text("utf-8"), origin=str(path))
    for found in CALL.finditer(source):
        yield _key(found[1], _call_at(source, found.start()), path)


def _call_at(source: str, start: int) -> ast.Call:
    """The call that begins here: up to the first bracket with which it is one."""
    for end in re.finditer(r"\)", source[start:]):
        try:
            call = ast.parse(source[start : start + end.end()].replace("\n", " "), mode="eval").body
        except SyntaxError:
            continue
        assert isinstance(call, ast.Call)
        return call
    raise AssertionError(source[start : start + 80])


def _said_by_the_code() -> set[Key]:
    keys = {key for path in sources(*APPS) for key in _in_python(path)}
    return keys | {key for path in (ROOT / "templates").rglob("*.*") for key in _in_template(path)}


def test_nothing_that_the_code_says_is_missing_and_nothing_else_is_there(catalogue: polib.POFile) -> None:
    held, said = {(entry.msgctxt or "", entry.msgid) for entry in catalogue}, _said_by_the_code()
    assert said - held == set(), "run `make messages` and translate what is new"
    assert held - said == set(), "run `make messages`; nobody says these any more"
