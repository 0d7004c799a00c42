"""Random weights and an invented vocabulary for a base model of true size: everything works with it but the pictures.

Drawn with NumPy tensor by tensor, so that gigabytes need little memory and the same seed gives the same bytes
wherever this version of NumPy runs.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice, product
from pathlib import Path
from string import ascii_lowercase

import numpy as np

from shoesai.engine.tensor_file import NewTensor

DTYPES = {"fp16": ("F16", "<f2"), "fp32": ("F32", "<f4")}

# --- weights ------------------------------------------------------------------------------------------------
EMBEDDING_SPREAD = 0.02 * math.sqrt(3)  # uniform, with the standard deviation that CLIP begins with
SMALL = 0.02  # biases, and what a norm differs from 1 by: no two tensors are equal, so a mix-up shows


def tensors_of(part: str, shapes: Mapping[str, tuple[int, ...]], seed: int, precision: str) -> list[NewTensor]:
    """The part's tensors, each from a stream of its own: its values depend on nothing but seed, part and name."""
    dtype, numpy_dtype = DTYPES[precision]
    return [
        NewTensor(name, dtype, shape, partial(_draw, part, name, shape, seed, numpy_dtype))
        for name, shape in shapes.items()
    ]


def _draw(part: str, name: str, shape: tuple[int, ...], seed: int, dtype: str) -> Iterator[bytes]:
    own = int.from_bytes(hashlib.sha256(f"{part}/{name}".encode()).digest(), "little")
    values = np.random.Generator(np.random.PCG64([seed, own])).random(shape, dtype=np.float32)
    middle, spread = _range_of(name, shape)
    values *= np.float32(2 * spread)
    values += np.float32(middle - spread)
    yield values.astype(dtype, copy=False).tobytes()


def _range_of(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Middle and half width of the uniform distribution: torch's own ± 1/sqrt(inputs) for what multiplies."""
    if len(shape) == 1:
        return (1.0, SMALL) if name.endswith("weight") else (0.0, SMALL)
    if "embedding." in name and "linear" not in name:
        return 0.0, EMBEDDING_SPREAD
    return 0.0, 1 / math.sqrt(math.prod(shape[1:]))


# --- vocabulary ---------------------------------------------------------------------------------------------
WORD_END = "</w>"
SPECIALS = ("<|startoftext|>", "<|endoftext|>")


def write_vocabulary(folder: Path, size: int) -> None:
    """vocab.json and merges.txt of a byte-level BPE with `size` entries in CLIP's order, the two specials last.

    The 256 bytes are in it, so any text can be tokenised; merges join letters to pairs, to triples, and so on.
    """
    symbols = _byte_symbols()
    merges = list(islice(_merges(), size - 2 * len(symbols) - len(SPECIALS)))
    tokens = [*symbols, *(symbol + WORD_END for symbol in symbols), *(a + b for a, b in merges), *SPECIALS]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", "utf-8")


def _byte_symbols() -> list[str]:
    """A printable character for every byte, as GPT-2 introduced it: itself, or one from 256 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = 256 - len(printable)
    return [chr(code) for code in printable] + [chr(256 + number) for number in range(others)]


def _merges() -> Iterator[tuple[str, str]]:
    """Endless: every string of two letters at the end of a word and within, then of three, and so on."""
    stems = list(ascii_lowercase)
    while True:
        yield from ((stem, letter + WORD_END) for stem, letter in product(stems, ascii_lowercase))
        yield from product(stems, ascii_lowercase)
        stems = [stem + letter for stem, letter in product(stems, ascii_lowercase)]
