"""How much of a prompt or a caption its model reads: CLIP takes 77 tokens with its two marks and drops the rest.

The base model's own vocabulary is asked, through the `tokenizers` package alone; the web process holds no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE

from shoesai.engine.base_folder import BaseModelProblem, find_tokenizer
from training.models import BaseModel

LIMIT = 77
START, END = "<|startoftext|>", "<|endoftext|>"
# As CLIP was published: what is one word to it.
WORD = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


@dataclass(frozen=True)
class Tokens:
    count: int
    dropped: str = ""

    limit = LIMIT

    @property
    def is_too_long(self) -> bool:
        return self.count > LIMIT


def count_tokens(base: BaseModel, text: str) -> Tokens | None:
    """None where the base model's files are not on this machine: only the worker needs them."""
    try:
        tokenizer = _tokenizer(base.path)
    except (BaseModelProblem, OSError):
        return None
    read = tokenizer.encode(text)
    if len(read) <= LIMIT:
        return Tokens(len(read))
    first = LIMIT - 1  # the last place is the end mark's
    while first > 1 and read.word_ids[first - 1] == read.word_ids[first]:
        first -= 1  # half a word read is a word lost
    return Tokens(len(read), text[read.offsets[first][0] :].strip())


@lru_cache(maxsize=8)
def _tokenizer(folder: Path) -> Tokenizer:
    vocabulary = find_tokenizer(folder)
    ready_made = vocabulary / "tokenizer.json"
    if not ready_made.is_file():
        return _from_vocabulary(vocabulary)
    tokenizer = Tokenizer.from_file(str(ready_made))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _from_vocabulary(folder: Path) -> Tokenizer:
    """From `vocab.json` and `merges.txt`, which is all that older base models bring."""
    vocabulary, merges = BPE.read_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=merges, end_of_word_suffix="</w>", unk_token=END))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORD), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.post_processor = processors.RobertaProcessing(
        (END, vocabulary[END]), (START, vocabulary[START]), trim_offsets=False, add_prefix_space=False
    )
    tokenizer.add_special_tokens([START, END])
    return tokenizer
