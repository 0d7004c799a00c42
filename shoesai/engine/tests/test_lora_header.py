"""A stranger's LoRA file is judged by its header, without torch."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shoesai.engine.lora_header import LoraProblem, read_lora_header

ATTN2 = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
KOHYA = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
Shapes = dict[str, tuple[int, ...]]
PAIR: Shapes = {f"{ATTN2}.lora_A.weight": (4, 768), f"{ATTN2}.lora_B.weight": (320, 4)}


def lora(folder: Path, shapes: Shapes, metadata: dict[str, str] | None = None, **scalars: float) -> Path:
    """A file with zeros in it, fp16, and the scalars under their names."""
    header: dict[str, Any] = {"__metadata__": metadata} if metadata is not None else {}
    data = b""
    for name, shape in shapes.items():
        size = 2
        for side in shape:
            size *= side
        content = struct.pack("<e", scalars[name]) if name in scalars else bytes(size)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [len(data), len(data) + size]}
        data += content
    return raw(folder, json.dumps(header).encode(), data)


def raw(folder: Path, header: bytes, data: bytes = b"", length: int | None = None) -> Path:
    path = folder / "lora.safetensors"
    path.write_bytes((len(header) if length is None else length).to_bytes(8, "little") + header + data)
    return path


def test_it_reads_rank_and_family_of_a_diffusers_file(tmp_path: Path) -> None:
    header = read_lora_header(lora(tmp_path, PAIR))
    assert (header.rank, header.cross_attention_dim, header.family, header.tensor_count) == (4, 768, "sd15", 2)
    assert header.alpha is None


def test_it_reads_the_older_diffusers_names(tmp_path: Path) -> None:
    shapes: Shapes = {f"{ATTN2}.lora.down.weight": (4, 128), f"{ATTN2}.lora.up.weight": (64, 4)}
    header = read_lora_header(lora(tmp_path, shapes))
    assert (header.rank, header.cross_attention_dim, header.family) == (4, 128, None)


def test_it_reads_alpha_from_the_adapter_metadata(tmp_path: Path) -> None:
    settings = json.dumps({"unet.r": 4, "unet.lora_alpha": 8})
    assert read_lora_header(lora(tmp_path, PAIR, {"lora_adapter_metadata": settings})).alpha == 8


def test_it_reads_alpha_of_a_kohya_file(tmp_path: Path) -> None:
    shapes: Shapes = {
        f"{KOHYA}.alpha": (),
        f"{KOHYA}.lora_down.weight": (4, 768),
        f"{KOHYA}.lora_up.weight": (320, 4),
    }
    header = read_lora_header(lora(tmp_path, shapes, None, **{f"{KOHYA}.alpha": 2.0}))
    assert (header.rank, header.alpha, header.family) == (4, 2.0, "sd15")


def test_metadata_is_kept_as_text_and_not_obeyed(tmp_path: Path) -> None:
    header = read_lora_header(lora(tmp_path, PAIR, {"ss_tag": "<script>{{ 7*7 }}"}))
    assert header.metadata == {"ss_tag": "<script>{{ 7*7 }}"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unet.__class__.lora_A.weight", "not a plain name"),
        ("unet.a b.lora_A.weight", "not a plain name"),
        ("../../etc/passwd", "not a plain name"),
        ("model.diffusion_model.input_blocks.0.weight", "not part of a LoRA"),
        ("unet.conv_in.weight", "not part of a LoRA"),
        ("unet.mid.loraXdown.weight", "not part of a LoRA"),
    ],
)
def test_it_refuses_tensors_that_are_no_lora(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(LoraProblem, match=words):
        read_lora_header(lora(tmp_path, {name: (4, 4)}))


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({f"{ATTN2}.lora_A.weight": (4, 768)}, "do not fit each other"),
        ({f"{ATTN2}.lora_A.weight": (4, 768), f"{ATTN2}.lora_B.weight": (320, 8)}, "do not fit each other"),
        ({f"{ATTN2}.lora_A.weight": (300, 8), f"{ATTN2}.lora_B.weight": (8, 300)}, "rank is 300"),
        ({**PAIR, f"{ATTN2}.lora.down.weight": (4, 768)}, "two matrices"),
        ({}, "0 tensors"),
    ],
)
def test_it_refuses_matrices_that_do_not_fit(tmp_path: Path, shapes: Shapes, words: str) -> None:
    with pytest.raises(LoraProblem, match=words):
        read_lora_header(lora(tmp_path, shapes))


def test_it_refuses_a_file_that_is_cut_off_or_padded(tmp_path: Path) -> None:
    path = lora(tmp_path, PAIR)
    whole = path.read_bytes()
    for wrong in (whole[:-1], whole + b"\0"):
        path.write_bytes(wrong)
        with pytest.raises(LoraProblem, match="cut off or padded"):
            read_lora_header(path)


def test_it_refuses_too_much_metadata(tmp_path: Path) -> None:
    with pytest.raises(LoraProblem, match="metadata is"):
        read_lora_header(lora(tmp_path, PAIR, {"note": "x" * 70_000}))


def test_it_refuses_too_many_tensors(tmp_path: Path) -> None:
    with pytest.raises(LoraProblem, match="tensors"):
        read_lora_header(lora(tmp_path, {f"unet.m{n}.lora_A.weight": (1, 1) for n in range(5001)}))


@pytest.mark.parametrize(
    ("header", "length", "words"),
    [
        (b"", None, "header would be 0"),
        (b"{}", 2**63, "header would be"),
        (b"{}" + b" " * 1_000_000, None, "header would be"),
        (b"\x80\x04pickle", None, "not JSON"),
        (b"[" * 5000, None, "not JSON"),
        (b"[1, 2]", None, "not a JSON object"),
        (b'{"a": 1, "a": 2}', None, "twice"),
        (b'{"a": 1}', None, "not described"),
        (b'{"__metadata__": {"a": 1}}', None, "list of texts"),
        (b'{"a": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}}', None, "allowed"),
        (b'{"a": {"dtype": ["F16"], "shape": [1], "data_offsets": [0, 8]}}', None, "allowed"),
        (b'{"a": {"dtype": "F16", "shape": [-1], "data_offsets": [0, 8]}}', None, "shape or place"),
        (b'{"a": {"dtype": "F16", "shape": [true], "data_offsets": [0, 2]}}', None, "shape or place"),
        (b'{"a": {"dtype": "F16", "shape": [1], "data_offsets": [4, 6]}}', None, "does not fit"),
    ],
)
def test_it_refuses_a_broken_header(tmp_path: Path, header: bytes, length: int | None, words: str) -> None:
    with pytest.raises(LoraProblem, match=words):
        read_lora_header(raw(tmp_path, header, b"", length))


def test_it_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LoraProblem, match="cannot be read"):
        read_lora_header(tmp_path / "none.safetensors")


def test_reading_a_header_needs_no_torch() -> None:
    code = "import sys, shoesai.engine.lora_header, shoesai.engine.progress; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
