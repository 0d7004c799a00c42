"""Safetensors files, read and written without torch: beside the library that everybody else reads them with."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from shoesai.engine import tensor_file
from shoesai.engine.tensor_file import NewTensor, TensorFileProblem

TENSORS: dict[str, np.ndarray] = {
    "b": np.arange(6, dtype=np.float16).reshape(2, 3),
    "a.weight": np.array([1.5], np.float32),
    "ids": np.arange(3, dtype=np.int64),
}


def test_what_the_library_wrote_is_read_byte_by_byte(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "theirs.safetensors", metadata={"format": "pt"})
    entries = tensor_file.read_entries(tmp_path / "theirs.safetensors")
    assert {name: (entry.dtype, entry.shape) for name, entry in entries.items()} == {
        "b": ("F16", (2, 3)), "a.weight": ("F32", (1,)), "ids": ("I64", (3,))
    }  # fmt: skip
    for name, entry in entries.items():
        assert b"".join(tensor_file.read_bytes(tmp_path / "theirs.safetensors", entry)) == TENSORS[name].tobytes()


def test_what_we_write_is_read_by_the_library(tmp_path: Path) -> None:
    file = tmp_path / "ours.safetensors"
    heard: list[int] = []
    copied = [
        NewTensor(name, dtype, TENSORS[name].shape, partial(_pieces, TENSORS[name].tobytes()))
        for name, dtype in (("b", "F16"), ("a.weight", "F32"), ("ids", "I64"))
    ]
    tensor_file.write(file, copied, heard.append)
    for name, values in load_file(file).items():
        np.testing.assert_array_equal(values, TENSORS[name])
        assert values.dtype == TENSORS[name].dtype
    assert sum(heard) == 12 + 4 + 24
    assert int.from_bytes(file.read_bytes()[:8], "little") % 8 == 0


def _pieces(data: bytes) -> list[bytes]:
    return [data[:5], data[5:]]


def test_a_tensor_that_comes_with_another_size_is_noticed(tmp_path: Path) -> None:
    short = NewTensor("a", "F32", (2,), lambda: [b"1234"])
    with pytest.raises(TensorFileProblem, match="came with 4 bytes, not 8"):
        tensor_file.write(tmp_path / "x.safetensors", [short])


def file_of(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def tensor(**changes: Any) -> dict[str, Any]:
    return {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **changes}}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is not a safetensors file, or it is cut off"),
        (b"PK\x03\x04 a pickle in a zip", "is not a safetensors file"),
        (file_of({}, length=2**40), "is not a safetensors file"),
        (file_of(b"{" + b" " * tensor_file.MAX_HEADER_BYTES), "is not a safetensors file"),
        (file_of(b"nonsense"), "header is not JSON"),
        (file_of(b"\xff\xff"), "header is not JSON"),
        (file_of(b"[" * 100_000), "header is not JSON"),
        (file_of([1]), "not a JSON object"),
        (file_of({}), "holds 0 tensors"),
        (file_of(b'{"a": {}, "a": {}}'), "names something twice"),
        (file_of({"a": 1}), "not described as safetensors does it"),
        (file_of(tensor(dtype="F7"), b"1234"), "unknown type 'F7'"),
        (file_of(tensor(dtype=["F32"]), b"1234"), "unknown type"),
        (file_of(tensor(shape=[-1]), b"1234"), "no proper shape or place"),
        (file_of(tensor(shape=[True]), b"1234"), "no proper shape or place"),
        (file_of(tensor(data_offsets=[0]), b"1234"), "no proper shape or place"),
        (file_of(tensor(shape=[2]), b"1234"), "does not fit its size"),
        (file_of(tensor(data_offsets=[4, 8]), b"12345678"), "does not fit its size"),
        (file_of(tensor(), b"12"), "cut off or padded"),
        (file_of(tensor(), b"123456"), "cut off or padded"),
    ],
)
def test_what_is_not_a_whole_safetensors_file_is_refused_with_the_reason(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    with pytest.raises(TensorFileProblem, match=sentence) as caught:
        tensor_file.read_entries(file)
    assert "model.safetensors" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_file_that_is_not_there_is_a_problem_too(tmp_path: Path) -> None:
    with pytest.raises(TensorFileProblem, match="cannot be read: No such file"):
        tensor_file.read_entries(tmp_path / "gone.safetensors")
