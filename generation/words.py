"""Full-text search over prompts: FTS5 on SQLite, a GIN index on PostgreSQL, one lookup (`words__matches`) over both.

What is indexed and what is asked are made plain by the same function, so that both databases find the same: accents
and capitals do not count, anything but letters and digits separates words, and a word finds what begins with it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from django.db import models

FTS_TABLE = "generation_stack_fts"
_NOT_A_WORD = re.compile(r"[\W_]+")

Phrase = Sequence[str]


def plain(text: str) -> str:
    """`Tênis "Preto", 2ª` → `tenis preto 2a`."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return _NOT_A_WORD.sub(" ", "".join(c for c in apart if not unicodedata.combining(c))).strip()


def phrases(texts: Sequence[str]) -> list[Phrase]:
    """Each text as its words in order; texts without a word are left out."""
    return [words for words in (plain(text).split() for text in texts) if words]


class WordsField(models.TextField):
    """Text that `plain` has made plain; give it whatever people typed."""

    def get_prep_value(self, value: Any) -> Any:
        return plain(value) if isinstance(value, str) else value


@WordsField.register_lookup
class Matches(models.Lookup):
    """`words__matches=[["white", "sole"], ["sneak"]]`: every phrase is there; the last word of each may go on."""

    lookup_name = "matches"
    prepare_rhs = False

    def get_db_prep_lookup(self, value: Any, connection: Any) -> tuple[str, list[Any]]:
        return "%s", [value]

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        wanted = " AND ".join(f'"{" ".join(phrase)}" *' for phrase in self.rhs)
        return f"{self._column(compiler, 'id')} IN (SELECT rowid FROM {FTS_TABLE} WHERE {FTS_TABLE} MATCH %s)", [wanted]  # noqa: S608 -- our own names

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        wanted = " & ".join(f"({' <-> '.join(phrase)}:*)" for phrase in self.rhs)
        return f"{self._column(compiler, 'vector')} @@ to_tsquery('simple', %s)", [wanted]

    def _column(self, compiler: Any, name: str) -> str:
        """The row number, or what PostgreSQL makes of the text (see migration 0006)."""
        quote = compiler.quote_name_unless_alias
        return f"{quote(self.lhs.alias)}.{quote(name)}"


@WordsField.register_lookup
class Hold(Matches):
    """The same, asked of one row after the other: SQLite's index would first list all that match, for every query."""

    lookup_name = "hold"

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        column = self._column(compiler, "words")
        each = " AND ".join(f"instr(' ' || {column}, %s)" for _phrase in self.rhs)
        return f"({each})", [f" {' '.join(phrase)}" for phrase in self.rhs]
