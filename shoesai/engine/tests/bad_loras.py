"""Files that strangers could send, each with a word of the reason for which it is refused. Made without torch."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

MODULE = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
FLAT = "lora_unet_" + MODULE.replace(".", "_")
DOWN, UP = f"unet.{MODULE}.lora_A.weight", f"unet.{MODULE}.lora_B.weight"
WIDTH, TEXT = 160, 192  # of the starter's middle block, and of its text embedding

Array = np.ndarray[Any, Any]
Tensors = dict[str, Array | tuple[str, tuple[int, ...], bytes]]
_DTYPES = {"float16": "F16", "float32": "F32", "float64": "F64", "int64": "I64"}


def pair(rank: int = 4, width: int = WIDTH, text: int = TEXT, dtype: str = "float16") -> Tensors:
    return {DOWN: np.full((rank, text), 0.5, dtype), UP: np.full((width, rank), 0.25, dtype)}


def kohya(alpha: float = 8.0, rank: int = 4) -> Tensors:
    down, up = pair(rank).values()
    return {f"{FLAT}.lora_down.weight": down, f"{FLAT}.lora_up.weight": up, f"{FLAT}.alpha": np.array(alpha, "float16")}


def safetensors(tensors: Tensors, metadata: Any = None) -> bytes:
    """Whatever it is given, as the format says; bfloat16 as (dtype, shape, bytes)."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    data = b""
    for name, value in tensors.items():
        if isinstance(value, tuple):
            dtype, shape, content = value
        else:
            dtype, shape, content = _DTYPES[str(value.dtype)], value.shape, value.tobytes()
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    return raw(json.dumps(header).encode(), data)


def raw(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def _with(name: str, value: Array | tuple[str, tuple[int, ...], bytes], of: Tensors | None = None) -> bytes:
    return safetensors({**(of or pair()), name: value})


def _poisoned(value: float, dtype: str) -> bytes:
    tensors = pair(dtype=dtype)
    poisoned = tensors[UP]
    assert isinstance(poisoned, np.ndarray)
    poisoned[3, 1] = value
    return safetensors(tensors)


def _bfloat16_nan() -> bytes:
    rows = 4 * TEXT
    tensors: Tensors = {
        DOWN: ("BF16", (4, TEXT), b"\x80\x3f" * rows),
        UP: ("BF16", (WIDTH, 4), b"\x80\x3f" * (4 * WIDTH - 1) + b"\xc0\x7f"),
    }
    return safetensors(tensors)


def _settings(**settings: Any) -> bytes:
    return safetensors(
        pair(), {"lora_adapter_metadata": json.dumps({f"unet.{name}": value for name, value in settings.items()})}
    )


def _twice() -> bytes:
    entry = '{"dtype":"F16","shape":[4,192],"data_offsets":[0,1536]}'
    return raw(f'{{"{DOWN}":{entry},"{DOWN}":{entry}}}'.encode(), bytes(1536))


def _huge_shape() -> bytes:
    entry = {"dtype": "F16", "shape": [0, 2**60], "data_offsets": [0, 0]}
    return raw(json.dumps({DOWN: entry}).encode())


# What it is → (how to make it, words of the reason)
BAD_FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "too short"),
    "a pickle": (lambda: b"\x80\x04\x95" + bytes(100), "header would be"),
    "a header of exabytes": (lambda: raw(b"{}", length=2**62), "header would be"),
    "a header of two megabytes": (lambda: raw(b"{}" + b" " * 2_000_000), "header would be"),
    "a header that is no JSON": (lambda: raw(b"<html></html>"), "not JSON"),
    "a header nested 100,000 deep": (lambda: raw(b"[" * 100_000), "not JSON"),
    "a header that is a list": (lambda: raw(b"[1]"), "not a JSON object"),
    "a name that stands there twice": (_twice, "twice"),
    "no tensors": (lambda: safetensors({}), "0 tensors"),
    "5,001 tensors": (
        lambda: safetensors({f"unet.m{n}.lora_A.weight": np.ones((1, 1), "float16") for n in range(5001)}),
        "5001 tensors",
    ),
    "metadata of a megabyte": (lambda: safetensors(pair(), {"note": "x" * 900_000}), "metadata is"),
    "metadata that is no text": (lambda: safetensors(pair(), {"note": 7}), "list of texts"),
    "cut off": (lambda: safetensors(pair())[:-1], "cut off or padded"),
    "padded": (lambda: safetensors(pair()) + b"x", "cut off or padded"),
    "a dimension of 2^60": (_huge_shape, "shape or place"),
    "an empty matrix": (lambda: _with(DOWN, np.ones((4, 0), "float16")), "not a matrix"),
    "float64": (lambda: safetensors(pair(dtype="float64")), "allowed"),
    "integers": (lambda: safetensors(pair(dtype="int64")), "allowed"),
    "a dotted class name": (lambda: _with("unet.__class__.lora_A.weight", np.ones((4, 4), "float16")), "plain name"),
    "HTML in a name": (lambda: _with("unet.<b>.lora_A.weight", np.ones((4, 4), "float16")), "plain name"),
    "NUL in a name": (lambda: _with("unet.a\0.lora_A.weight", np.ones((4, 4), "float16")), "plain name"),
    "a path for a name": (lambda: _with("../../etc/passwd", np.ones((4, 4), "float16")), "plain name"),
    "a whole model": (lambda: safetensors({"unet.conv_in.weight": np.ones((8, 4, 3, 3), "float16")}), "not part of"),
    "a weight among the matrices": (lambda: _with("unet.conv_in.weight", np.ones((8, 4), "float16")), "not part of"),
    "a LoHa": (lambda: _with(f"{FLAT}.hada_w1_a", np.ones((4, 4), "float16"), kohya()), "LoHa"),
    "a LoKr": (lambda: _with(f"{FLAT}.lokr_w1", np.ones((4, 4), "float16"), kohya()), "LoKr"),
    "a DoRA": (lambda: _with(f"{FLAT}.dora_scale", np.ones((4, 1), "float16"), kohya()), "DoRA"),
    "SDXL's second text encoder": (
        lambda: _with("lora_te2_text_model_encoder_layers_0_mlp_fc1.alpha", np.ones((), "float16"), kohya()),
        "SDXL",
    ),
    "SDXL's block names": (
        lambda: safetensors(
            {f"lora_unet_input_blocks_4_1_proj_in.{side}.weight": np.ones((4, 4), "float16")
             for side in ("lora_down", "lora_up")}
        ),
        "original code",
    ),
    "two forms in one": (lambda: safetensors({**pair(), **kohya()}), "mixes the names"),
    "one module under two names": (
        lambda: _with(f"unet.{MODULE}.lora.down.weight", np.ones((4, TEXT), "float16")), "two matrices"
    ),
    "a matrix without its other": (lambda: safetensors({DOWN: np.ones((4, TEXT), "float16")}), "one is missing"),
    "matrices of two ranks": (lambda: _with(UP, np.ones((WIDTH, 8), "float16")), "do not fit each other"),
    "a vector": (lambda: _with(DOWN, np.ones(4, "float16")), "not a matrix"),
    "rank 300": (lambda: safetensors(pair(rank=300)), "rank is 300"),
    "an alpha without matrices": (
        lambda: _with("lora_unet_conv_in.alpha", np.ones((), "float16"), kohya()), "no matrices"
    ),
    "an alpha of 0": (lambda: safetensors(kohya(alpha=0)), "alpha of 0"),
    "an alpha that is NaN": (lambda: safetensors(kohya(alpha=math.nan)), "alpha of nan"),
    "an alpha of three numbers": (lambda: _with(f"{FLAT}.alpha", np.ones(3, "float16"), kohya()), "not one number"),
    "NaN in fp16": (lambda: _poisoned(math.nan, "float16"), "not finite"),
    "infinity in fp16": (lambda: _poisoned(math.inf, "float16"), "not finite"),
    "NaN in fp32": (lambda: _poisoned(math.nan, "float32"), "not finite"),
    "minus infinity in fp32": (lambda: _poisoned(-math.inf, "float32"), "not finite"),
    "NaN in bf16": (_bfloat16_nan, "not finite"),
    "settings that are no JSON": (lambda: safetensors(pair(), {"lora_adapter_metadata": "{"}), "not JSON"),
    "settings without an alpha": (lambda: _settings(r=4), "lora_alpha"),
    "settings with a negative alpha": (lambda: _settings(r=4, lora_alpha=-8), "lora_alpha"),
    "settings of another rank": (lambda: _settings(r=16, lora_alpha=16), "say rank 16"),
    "settings with a regular expression": (
        lambda: _settings(r=4, lora_alpha=8, alpha_pattern={"(a+)+$": 1}), "regular expression"
    ),
    "PEFT's names without its settings": (
        lambda: safetensors({name.replace("unet.", "base_model.model."): value for name, value in pair().items()}),
        "PEFT form",
    ),
}

# Proper LoRAs, but not for the starter.
OF_ANOTHER_BASE: dict[str, tuple[Callable[[], bytes], str]] = {
    "Stable Diffusion 1.5's text width": (lambda: safetensors(pair(text=768)), "another kind of base model"),
    "another width of the UNet": (lambda: safetensors(pair(width=1280)), "another kind of base model"),
    "a module that is not there": (
        lambda: safetensors({name.replace("mid_block", "up_blocks.9"): value for name, value in pair().items()}),
        "does not have",
    ),
    "a layer of an unknown part": (
        lambda: safetensors({name.replace(MODULE, "nowhere.to_k"): value for name, value in pair().items()}),
        "does not have",
    ),
}  # fmt: skip
