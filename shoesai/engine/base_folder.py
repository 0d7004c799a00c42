"""A base model as a diffusers folder: what it must hold, and how it is judged, copied and hashed without torch.

Nothing here loads a tensor or runs anything from the folder; pickles are never read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shoesai.engine import tensor_file
from shoesai.engine.lora_header import FAMILY_OF_DIM
from shoesai.engine.progress import Emit, ShouldStop, check_stop
from shoesai.engine.tensor_file import TensorFileProblem

MAX_JSON_BYTES = 2**20
MIB = 2**20
PIPELINE = "StableDiffusionPipeline"
TRUSTED_LIBRARIES = {"diffusers", "transformers", "stable_diffusion"}
Count = Callable[[int], None]
"""Hears how many bytes were done."""
PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")


class BaseModelProblem(ValueError):
    """The base model cannot be used; the words are for the user and name no path of this machine."""


@dataclass(frozen=True)
class Part:
    """A part with weights: its class, and its weights file without `.safetensors`."""

    library: str
    class_name: str
    stem: str

    def weights(self, variant: str = "") -> str:
        """`diffusion_pytorch_model.safetensors`, or with the variant fp16 `diffusion_pytorch_model.fp16.safetensors`"""
        return f"{self.stem}{variant and '.' + variant}.safetensors"


PARTS = {
    "unet": Part("diffusers", "UNet2DConditionModel", "diffusion_pytorch_model"),
    "vae": Part("diffusers", "AutoencoderKL", "diffusion_pytorch_model"),
    "text_encoder": Part("transformers", "CLIPTextModel", "model"),
}
CONFIGURATION = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    *(f"{name}/config.json" for name in PARTS),
)
VOCABULARIES = (("vocab.json", "merges.txt"), ("tokenizer.json",))  # either is enough
TOKENIZER_FILES = (
    "vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"
)  # fmt: skip


class ByteCount:
    """Tells of bytes that are done, in MiB, and asks with each piece whether to go on."""

    def __init__(self, total: int, message: str, emit: Emit, should_stop: ShouldStop) -> None:
        self._total, self._done, self._told = max(total // MIB, 1), 0, -1
        self._message, self._emit, self._should_stop = message, emit, should_stop

    def __call__(self, count: int) -> None:
        """Raises Stopped."""
        self._done += count
        if self._done // MIB != self._told:
            check_stop(self._should_stop)
            self._told = self._done // MIB
            self._emit("step", step=min(self._told, self._total), total=self._total, message=self._message)


# --- which files --------------------------------------------------------------------------------------------
def files_in(folder: Path) -> list[str]:
    """Relative names with `/`, as the hub lists them."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def needed(files: Collection[str], name: str) -> list[str]:
    """Those files, of what a folder or a hub repository holds, that a base model is made of.

    Full precision where it is there, else the variant fp16. Raises BaseModelProblem when something is missing;
    `name` is what the words call the whole.
    """
    weights = weights_in(files, name)
    for file in CONFIGURATION:
        if file not in files:
            raise BaseModelProblem(f"{name!r} is not a diffusers folder: it has no {file}")
    return [*CONFIGURATION, *weights.values(), *_tokenizer_in(files, name)]


def weights_in(files: Collection[str], name: str) -> dict[str, str]:
    """Part → its weights file. All of one variant, because that is how diffusers loads them."""
    found = {}
    for variant in ("", "fp16"):
        found = {part: f"{part}/{row.weights(variant)}" for part, row in PARTS.items()}
        if found["unet"] in files:
            break
    for part, file in found.items():
        if file in files:
            continue
        if any(other.startswith(f"{part}/") and other.endswith(PICKLES) for other in files):
            raise BaseModelProblem(
                f"{name!r} has the weights of its {part} only as a pickle, which could run code and is never read;"
                " take the model in safetensors format"
            )
        raise BaseModelProblem(f"{name!r} has no {file}")
    return found


def _tokenizer_in(files: Collection[str], name: str) -> list[str]:
    there = [f"tokenizer/{file}" for file in TOKENIZER_FILES if f"tokenizer/{file}" in files]
    if not any(all(f"tokenizer/{file}" in there for file in row) for row in VOCABULARIES):
        raise BaseModelProblem(f"{name!r} has no tokenizer: tokenizer/vocab.json and merges.txt are missing")
    return there


def find_tokenizer(folder: Path) -> Path:
    """The folder with the vocabulary: this one, or the `tokenizer` in it. Raises BaseModelProblem."""
    for place in (folder, folder / "tokenizer"):
        if any(all((place / file).is_file() for file in row) for row in VOCABULARIES):
            return place
    raise BaseModelProblem(f"{_name(folder)!r} holds no tokenizer: vocab.json and merges.txt, or tokenizer.json")


# --- judging ------------------------------------------------------------------------------------------------
def check_folder(folder: Path, family: str | None = None) -> list[str]:
    """The files it is made of. Raises BaseModelProblem for what is not a base model (of that family)."""
    check_configuration(folder, family)
    files = needed(files_in(folder), _name(folder))
    try:
        for file in weights_in(files, _name(folder)).values():
            tensor_file.read_entries(folder / file)
    except TensorFileProblem as problem:
        raise BaseModelProblem(f"{_name(folder)!r}: {problem}") from problem
    return files


def check_configuration(folder: Path, family: str | None = None) -> None:
    """The small files alone, which say already whether the weights are worth fetching. Raises BaseModelProblem."""
    name = _name(folder)
    if not folder.is_dir():
        raise BaseModelProblem(f"there is no folder {name!r}")
    check_index(folder)
    for file in CONFIGURATION:
        if not (folder / file).is_file():
            raise BaseModelProblem(f"{name!r} is not a diffusers folder: it has no {file}")
    for part, row in PARTS.items():
        _check_class(name, part, row, read_json(folder, f"{part}/config.json"))
    _check_unet(folder, name, family)


def check_index(folder: Path) -> None:
    """Raises BaseModelProblem for another kind of pipeline, or one that wants code of its own."""
    name = _name(folder)
    if not (folder / "model_index.json").is_file():
        raise BaseModelProblem(f"{name!r} is not a diffusers folder: it has no model_index.json")
    index = read_json(folder, "model_index.json")
    if index.get("_class_name") != PIPELINE:
        raise BaseModelProblem(f"{name!r} is a {str(index.get('_class_name'))[:80]}, not a {PIPELINE}")
    libraries = {str(part[0]) for part in index.values() if isinstance(part, list) and part and part[0]}
    if not libraries <= TRUSTED_LIBRARIES:
        foreign = ", ".join(sorted(libraries - TRUSTED_LIBRARIES))
        raise BaseModelProblem(f"{name!r} wants code from {foreign[:200]}, which is never run")


def read_json(folder: Path, file: str) -> dict[str, Any]:
    """A JSON object of sane size. Raises BaseModelProblem."""
    path = folder / file
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise BaseModelProblem(f"{_name(folder)!r}: {file} is larger than any configuration")
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BaseModelProblem(f"{_name(folder)!r}: {file} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise BaseModelProblem(f"{_name(folder)!r}: {file} is not JSON") from error
    if not isinstance(content, dict):
        raise BaseModelProblem(f"{_name(folder)!r}: {file} is not a JSON object")
    return content


def _check_class(name: str, part: str, row: Part, config: dict[str, Any]) -> None:
    said = config.get("_class_name") or next(iter(config.get("architectures") or []), None)
    if said not in (row.class_name, None):
        raise BaseModelProblem(f"{name!r}: its {part} is a {str(said)[:80]}, not a {row.class_name}")


def _check_unet(folder: Path, name: str, family: str | None) -> None:
    unet, vae = read_json(folder, "unet/config.json"), read_json(folder, "vae/config.json")
    if unet.get("in_channels", 4) != vae.get("latent_channels", 4):
        raise BaseModelProblem(f"{name!r} is made for inpainting, not for text to image")
    width = unet.get("cross_attention_dim")
    found = FAMILY_OF_DIM.get(width) if isinstance(width, int) else None
    if family is not None and found != family:
        known = f"which is {found}" if found else "which is no family that is known here"
        raise BaseModelProblem(f"{name!r} is not {family}: its UNet reads texts of width {width}, {known}")


# --- copying and hashing ------------------------------------------------------------------------------------
def size_of(folder: Path, files: Collection[str]) -> int:
    return sum((folder / file).stat().st_size for file in files)


def copy(source: Path, target: Path, files: Collection[str], count: Count) -> None:
    """Copies these files and fsyncs them; links are followed, because the hub's cache is made of them."""
    for file in files:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        with (source / file).open("rb") as old, (target / file).open("wb") as new:
            while piece := old.read(tensor_file.CHUNK_BYTES):
                new.write(piece)
                count(len(piece))
            new.flush()
            os.fsync(new.fileno())


def content_hash(folder: Path, count: Count = lambda done: None) -> str:
    """SHA-256 over the sorted lines `<sha256 of the file>  <relative name>` of all that the model is made of.

    The same as `sha256sum` of these files in order of their names, piped into `sha256sum`.
    """
    total = hashlib.sha256()
    for file in sorted(needed(files_in(folder), _name(folder))):
        digest = hashlib.sha256()
        with (folder / file).open("rb") as opened:
            while piece := opened.read(tensor_file.CHUNK_BYTES):
                digest.update(piece)
                count(len(piece))
        total.update(f"{digest.hexdigest()}  {file}\n".encode())
    return total.hexdigest()


def _name(folder: Path) -> str:
    return Path(os.path.abspath(folder)).name
