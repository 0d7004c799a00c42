"""A list of prompts as people write them: one a line; empty lines and those that begin with # say nothing."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from generation import limits

MOST_PROMPTS = 1000
MOST_BYTES = 4 * 1024 * 1024
TOLD = 20


@dataclass(frozen=True)
class BadLine:
    line: int
    problem: str

    def __str__(self) -> str:
        return _("line %(line)d: %(problem)s") % {"line": self.line, "problem": self.problem}


class BadPrompts(ValueError):
    """Names each line that cannot be a prompt; nothing is made of the others either."""

    def __init__(self, lines: list[BadLine]) -> None:
        self.lines = lines
        more = len(lines) - TOLD
        told = [str(line) for line in lines[:TOLD]]
        if more > 0:
            told.append(_("and %(count)d more") % {"count": more})
        super().__init__("; ".join(told))


def read_prompts(data: bytes | str) -> list[str]:
    """Raises BadPrompts. A prompt twice is a slip: more pictures of one prompt have a setting of their own."""
    if len(data) > MOST_BYTES:
        raise BadPrompts([BadLine(1, _("the list is larger than %(most)d MB.") % {"most": MOST_BYTES // 1024**2})])
    prompts: dict[str, int] = {}
    bad: list[BadLine] = []
    lines = (data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")).splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError:
            bad.append(BadLine(number, _("is not UTF-8 text.")))
            continue
        if not text or text.startswith("#"):
            continue
        if problem := _problem(text, prompts):
            bad.append(BadLine(number, problem))
        else:
            prompts[text] = number
    if not bad and not prompts:
        bad.append(BadLine(1, _("there is no prompt in the list; write one a line.")))
    if len(prompts) > MOST_PROMPTS:
        words = _("is one prompt too many; at most %(most)d are taken at once.") % {"most": MOST_PROMPTS}
        bad.append(BadLine(list(prompts.values())[MOST_PROMPTS], words))
    if bad:
        raise BadPrompts(bad)
    return list(prompts)


def _problem(text: str, earlier: dict[str, int]) -> str:
    if len(text) > limits.PROMPT_CHARACTERS:
        words = _("has %(count)d characters; at most %(most)d are allowed.")
        return words % {"count": len(text), "most": limits.PROMPT_CHARACTERS}
    if not text.isprintable():
        return _("contains characters that are not text.")
    if text in earlier:
        return _("is the same as line %(line)d; ask for more images per prompt instead.") % {"line": earlier[text]}
    return ""
