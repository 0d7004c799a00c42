"""Makes and measures the starter model: a small CLIP, then an f8 autoencoder, then a UNet on its latents.

It reads drawings from a cache folder and writes ordinary diffusers and transformers folders, so that nothing in
this file is needed to use the model. `python -m shoesai.engine.starter train|check --help`.
"""

import argparse
import copy
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTextModel, CLIPTokenizer

RESOLUTION: Final = 128
CONTEXT: Final = 77
ATTRIBUTES: Final = ("type", "colour", "material", "sole", "background", "facing", "view")
NAMING: Final = {  # how the small CLIP is asked for one attribute
    "type": ("a photo of {}", "{}", "a product photo of {}"),
    "colour": ("a photo of {} shoes", "{} shoes", "a {} shoe"),
    "material": ("a photo of {} shoes", "{} shoes", "a {} shoe"),
    "sole": ("a photo of shoes with {} soles", "shoes with a {} sole", "a shoe, {} sole"),
    "background": ("a photo of shoes on {} background", "{} background", "a shoe on a {} background"),
    "facing": ("a photo of shoes facing {}", "facing {}", "a shoe facing {}"),
    "view": ("a photo of shoes, {} view", "{} view", "a shoe, {} view"),
}
WEIGHED: Final = torch.tensor([3, 2, 1, 1, 2, 1, 1]) / 11  # what naming errors cost, in ATTRIBUTES' order
SHARES: Final = {"clip": 0.20, "vae": 0.35, "unet": 0.45}  # of the time budget

LATENTS: Final = 16_000  # pictures that the UNet learns from: encoding more takes longer than it helps

Bytes = NDArray[np.uint8]


# ------------------------------------------------------------------------------------------
# What is on disk


@dataclass
class Cache:
    """The drawings: pictures [n, 128, 128, 3], attribute numbers [n, 7], captions, and what each caption says."""

    pictures: Bytes
    names: dict[str, list[str]]
    labels: Tensor  # [n, 7] int64
    texts: list[list[str]]
    says: Tensor  # [n, captions, 7] bool
    boxes: Tensor  # [n, 4]: left, top, right, bottom of the shoe, in -1..1

    @classmethod
    def open(cls, folder: Path) -> "Cache":
        names = json.loads((folder / "attributes.json").read_text(encoding="utf-8"))
        lines = (folder / "captions.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        labels = [[names[a].index(row["attributes"][a]) for a in ATTRIBUTES] for row in rows]
        says = [[[a in c["says"] for a in ATTRIBUTES] for c in row["captions"]] for row in rows]
        pictures = np.load(folder / "pictures.npy", mmap_mode="r")
        return cls(
            pictures,
            names,
            torch.tensor(labels),
            [[c["text"] for c in row["captions"]] for row in rows],
            torch.tensor(says),
            boxes_of(pictures),
        )

    def batch(self, rows: Tensor) -> Tensor:
        """Pictures in -1..1, [b, 3, 128, 128]."""
        return to_tensor(self.pictures[np.sort(rows.numpy())])

    def __len__(self) -> int:
        return len(self.texts)


def to_tensor(pictures: Bytes) -> Tensor:
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def boxes_of(pictures: Bytes, step: int = 4) -> Tensor:
    """Where something is that differs from the top left corner, [n, 4] in -1..1; the whole frame if nothing does."""
    thin = np.array(pictures[:, ::step, ::step])
    corner = thin[:, :1, :1]
    differs = (np.maximum(thin, corner) - np.minimum(thin, corner)).max(-1) > 40
    edges = []
    for along in (differs.any(1), differs.any(2)):
        first, last = along.argmax(1), along.shape[1] - along[:, ::-1].argmax(1)
        found = along.any(1)
        edges.append((np.where(found, first, 0), np.where(found, last, along.shape[1])))
    (left, right), (top, bottom) = edges
    return torch.from_numpy(np.stack([left, top, right, bottom], 1) / thin.shape[1] * 2 - 1).float()


def zoomed(pictures: Tensor, boxes: Tensor, amount: Tensor) -> Tensor:
    """Pictures cropped towards the shoe: `amount` [b] of 0 is the whole frame, 1 the shoe's own square."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = ((boxes[:, 2:] - boxes[:, :2]).amax(1) / 2 * 1.1).clamp(0.2, 1)
    theta = torch.zeros(len(pictures), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 + (half - 1) * amount
    theta[:, :, 2] = middle * amount[:, None]
    grid = functional.affine_grid(theta, list(pictures.shape), align_corners=False)
    return functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


class Log:
    """JSON lines: one for each report, with the stage and the seconds since its start."""

    def __init__(self, path: Path, stage: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.stage, self.start = path, stage, time.monotonic()

    def __call__(self, **values: Any) -> None:
        seconds = round(time.monotonic() - self.start, 1)
        line = json.dumps({"stage": self.stage, "seconds": seconds} | values)
        print(line, flush=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


class Clock:
    """A time budget that is asked how much of it is gone; the learning rate follows it."""

    def __init__(self, seconds: float) -> None:
        self.start, self.seconds = time.monotonic(), seconds

    def gone(self) -> float:
        return min(1.0, (time.monotonic() - self.start) / self.seconds)

    def rate(self, step: int, warm_up: int = 100, floor: float = 0.01) -> float:
        """Linear warm-up by steps, then a cosine over the time that is left."""
        cosine = 0.5 + 0.5 * math.cos(math.pi * self.gone())
        return min(1.0, (step + 1) / warm_up) * (floor + (1 - floor) * cosine)


def publish(folder: Path, write: Callable[[Path], object]) -> None:
    """Writes a folder beside its place and swaps it in, so that a reader never sees half of one."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    write(fresh)
    fresh.chmod(0o755)
    old = fresh.with_name(fresh.name + "-old")
    if folder.exists():
        os.replace(folder, old)
    os.replace(fresh, folder)
    shutil.rmtree(old, ignore_errors=True)


def save_half(model: nn.Module, folder: Path) -> None:
    """Half precision on disk, single precision wanted in memory: the config says so to transformers, which would
    otherwise load halves beside diffusers' floats."""
    half = copy.deepcopy(model).half()

    def write(fresh: Path) -> None:
        half.save_pretrained(fresh, safe_serialization=True)  # type: ignore[operator]
        config = json.loads((fresh / "config.json").read_text(encoding="utf-8"))
        config.pop("_name_or_path", None)  # a folder of the machine that trained it
        config |= {key: "float32" for key in ("dtype", "torch_dtype") if key in config}
        for part in ("text_config", "vision_config"):
            if part in config:
                config[part]["dtype"] = "float32"
        (fresh / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    publish(folder, write)


def by_core(work: Callable[[Tensor], Any], rows: Tensor) -> list[Any]:
    """`work` on equal shares of the rows, one single-threaded share on each core.

    The layers are small: sharing the batch out scales with the cores, sharing each layer out (OpenMP) hardly does.
    """
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(work, rows.chunk(cores)))


def shared_gradients(
    weights: Sequence[nn.Parameter], work: Callable[[Tensor], tuple[Tensor, float]], size: int
) -> float:
    """Sets the weights' gradients to those of a batch, and returns the mean of what `work` gives beside its loss.

    `work` takes some of the batch's rows and returns their mean loss and a figure to report.
    """

    def share(rows: Tensor) -> tuple[float, tuple[Tensor, ...]]:
        loss, figure = work(rows)
        return figure, torch.autograd.grad(loss, weights)  # backward() would race for .grad

    figures, gradients = zip(*by_core(share, torch.arange(size)), strict=True)
    for weight, *parts in zip(weights, *gradients, strict=True):
        weight.grad = torch.stack(parts).mean(0)
    return float(np.mean(figures))


# ------------------------------------------------------------------------------------------
# Words


def build_tokenizer(texts: Sequence[str]) -> CLIPTokenizer:
    """A CLIP tokenizer in which every word of the captions is one token and any other text is spelled in bytes."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    vocabulary = letters + [letter + "</w>" for letter in letters]
    merges: list[tuple[str, str]] = []
    words = sorted({word for text in texts for word in _words(text)})
    for word in words:
        pieces = _spell(word, merges)
        while len(pieces) > 1:
            merges.append((pieces[0], pieces[1]))
            vocabulary.append(pieces[0] + pieces[1])
            pieces = [pieces[0] + pieces[1], *pieces[2:]]
    vocabulary = [*dict.fromkeys(vocabulary), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={token: number for number, token in enumerate(vocabulary)}, merges=merges, model_max_length=CONTEXT
    )


def _words(text: str) -> list[str]:
    spaced = "".join(c if c.isalpha() else " " for c in text.lower())
    return spaced.split()


def _spell(word: str, merges: Sequence[tuple[str, str]]) -> list[str]:
    """The word's pieces under the merges so far, in their order, as byte-pair encoding goes."""
    pieces = [*word[:-1], word[-1] + "</w>"]
    for first, second in merges:
        at = 0
        while at < len(pieces) - 1:
            if pieces[at] == first and pieces[at + 1] == second:
                pieces[at : at + 2] = [first + second]
            at += 1
    return pieces


def encode(tokenizer: CLIPTokenizer, texts: Sequence[str], full: bool) -> Tensor:
    """Token numbers [b, 77], or as many columns as the longest text needs."""
    padding = "max_length" if full else "longest"
    return tokenizer(list(texts), padding=padding, max_length=CONTEXT, truncation=True, return_tensors="pt").input_ids


def with_a_stranger(text: str, rng: np.random.Generator) -> str:
    """The caption with, now and then, a made-up word in it: prompts hold words that no drawing taught."""
    if rng.random() > 0.15:
        return text
    words = text.split(" ")
    stranger = "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), rng.integers(2, 9)))
    words.insert(int(rng.integers(len(words) + 1)), stranger)
    return " ".join(words)


# ------------------------------------------------------------------------------------------
# The small CLIP


def new_clip(tokenizer: CLIPTokenizer) -> CLIPModel:
    from transformers import CLIPConfig

    tower = {"hidden_size": 192, "intermediate_size": 768, "num_attention_heads": 4}
    text = tower | {
        "num_hidden_layers": 3,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": CONTEXT,
        "projection_dim": 128,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = tower | {"num_hidden_layers": 4, "image_size": RESOLUTION, "patch_size": 16, "projection_dim": 128}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=128))


def clip_processor(tokenizer: CLIPTokenizer) -> CLIPProcessor:
    size = {"height": RESOLUTION, "width": RESOLUTION}
    images = CLIPImageProcessor(
        size={"shortest_edge": RESOLUTION}, crop_size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    return CLIPProcessor(image_processor=images, tokenizer=tokenizer)


def image_vectors(clip: CLIPModel, pictures: Tensor) -> Tensor:
    """Unit vectors [b, 128] of pictures in -1..1."""
    pooled = clip.vision_model(pixel_values=pictures).pooler_output
    return functional.normalize(clip.visual_projection(pooled).float(), dim=-1)


def text_vectors(clip: CLIPModel, tokens: Tensor) -> Tensor:
    pooled = clip.text_model(input_ids=tokens).pooler_output
    return functional.normalize(clip.text_projection(pooled).float(), dim=-1)


def agreement(says: Tensor, said: Tensor, shown: Tensor) -> Tensor:
    """Whether caption j (its `says` [t, 7] and labels `said` [t, 7]) is true of picture i (`shown` [b, 7]): [b, t]."""
    return ((shown[:, None] == said[None]) | ~says[None]).all(-1)


def contrastive_loss(logits: Tensor, true: Tensor) -> Tensor:
    """Both ways; every caption that is true of a picture counts as its caption."""
    forth = -(functional.log_softmax(logits, 1) * true).sum(1) / true.sum(1)
    back = -(functional.log_softmax(logits, 0) * true).sum(0) / true.sum(0)
    return (forth.mean() + back.mean()) / 2


def naming_texts(names: dict[str, list[str]], attribute: str, template: int = 0) -> list[str]:
    return [NAMING[attribute][template].format(name) for name in names[attribute]]


def softened(pictures: Tensor) -> Tensor:
    """Some pictures a little blurred or noisy, as generated ones are."""
    kind = torch.randint(0, 3, (len(pictures), 1, 1, 1))
    blurred = functional.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)
    noisy = pictures + 0.06 * torch.randn_like(pictures)
    return torch.where(kind == 0, blurred, torch.where(kind == 1, noisy, pictures))


@torch.no_grad()
def name_pictures(
    clip: CLIPModel, tokenizer: CLIPTokenizer, names: dict[str, list[str]], pictures: Bytes
) -> dict[str, list[str]]:
    """What the small CLIP calls each picture, attribute by attribute."""
    chunks = np.array_split(np.arange(len(pictures)), max(1, len(pictures) // 64))
    seen = torch.cat([image_vectors(clip, to_tensor(pictures[rows])) for rows in chunks])
    answers = {}
    for attribute in ATTRIBUTES:
        words = text_vectors(clip, encode(tokenizer, naming_texts(names, attribute), full=False))
        answers[attribute] = [names[attribute][int(i)] for i in (seen @ words.T).argmax(1)]
    return answers


def clip_accuracy(clip: CLIPModel, tokenizer: CLIPTokenizer, cache: Cache, rows: range) -> dict[str, float]:
    named = name_pictures(clip, tokenizer, cache.names, cache.pictures[rows.start : rows.stop])
    truth = cache.labels[rows.start : rows.stop]
    return {
        a: round(float(np.mean([n == cache.names[a][int(t)] for n, t in zip(named[a], truth[:, i], strict=True)])), 3)
        for i, a in enumerate(ATTRIBUTES)
    }


def shapes_of(pictures: Tensor) -> Tensor:
    """Where each patch differs from the background, as 4 × 4 shares: the target of `learn_to_see`, [b, 64, 16]."""
    differs = ((pictures - pictures[:, :, :1, :1]).abs().amax(1, keepdim=True) > 0.3).float()
    shares = functional.avg_pool2d(differs, 4)
    return functional.unfold(shares, 4, stride=4).transpose(1, 2)


def learn_to_see(clip: CLIPModel, cache: Cache, rows: range, seconds: float, log: Log, size: int = 48) -> None:
    """The vision tower alone, before any words: outlines patch by patch, and the attributes by linear heads.

    A transformer from nothing needs thousands of steps before it sees shapes; outlines are a dense lesson that
    gets it there sooner. The heads are thrown away.
    """
    width = clip.config.vision_config.hidden_size
    outline = nn.Linear(width, 16)
    heads = nn.ModuleList([nn.Linear(width, len(cache.names[a])) for a in ATTRIBUTES])
    weights = [*clip.vision_model.parameters(), *outline.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(weights, 1e-3, betas=(0.9, 0.98), weight_decay=0.02)
    clock, step, right = Clock(seconds), 0, 0.0
    while clock.gone() < 1:
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * clock.rate(step, floor=0.3)
        batch = torch.randint(0, rows.start, (size,)).sort().values
        amount = torch.rand(size).sqrt() * max(0.3, 1 - 1.2 * clock.gone())
        pictures = zoomed(cache.batch(batch), cache.boxes[batch], amount)
        with torch.autocast("cpu", torch.bfloat16):
            seen = clip.vision_model(pixel_values=softened(pictures))
            outlines = outline(seen.last_hidden_state[:, 1:])
            pooled = torch.cat([seen.pooler_output, seen.last_hidden_state[:, 1:].mean(1)])
            answers = [head(pooled).float() for head in heads]
        dense = functional.binary_cross_entropy_with_logits(outlines.float(), shapes_of(pictures))
        truth = cache.labels[batch].repeat(2, 1)
        naming = torch.stack([functional.cross_entropy(x, truth[:, i]) for i, x in enumerate(answers)]) @ WEIGHED
        optimizer.zero_grad(set_to_none=True)
        (dense + naming).backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        step += 1
        right += (float((answers[0].argmax(1) == truth[:, 0])[:size].float().mean()) - right) * max(0.02, 1 / step)
        if step % 50 == 0:
            log(seeing=step, outline=round(dense.item(), 3), naming=round(naming.item(), 3), type=round(right, 3))


def train_clip(cache: Cache, out: Path, seconds: float, seed: int, go_on: bool, log: Log, size: int = 48) -> None:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    if go_on:
        clip = CLIPModel.from_pretrained(out / "clip", dtype=torch.float32)
        clip.text_model.requires_grad_(False)  # the UNet was trained on it
        tokenizer = CLIPTokenizer.from_pretrained(out / "clip")
    else:
        spoken = [t for texts in cache.texts for t in texts]
        spoken += [t for a in ATTRIBUTES for n in range(3) for t in naming_texts(cache.names, a, n)]
        tokenizer = build_tokenizer(spoken)
        clip = new_clip(tokenizer)
    log(parameters=sum(p.numel() for p in clip.parameters()), vocabulary=len(tokenizer))
    held = range(len(cache) - 400, len(cache))
    if not go_on:
        learn_to_see(clip, cache, held, seconds / 2, log)
        seconds /= 2
    peak = 4e-4 if go_on else 1e-3
    optimizer = torch.optim.AdamW(clip.parameters(), peak, betas=(0.9, 0.98), weight_decay=0.02)
    clock, step = Clock(seconds), 0
    while clock.gone() < 1:
        for group in optimizer.param_groups:
            group["lr"] = peak * clock.rate(step)
        rows = torch.randint(0, held.start, (size,)).sort().values
        which = torch.randint(0, cache.says.shape[1], (size,))
        texts = [with_a_stranger(cache.texts[r][w], rng) for r, w in zip(rows.tolist(), which.tolist(), strict=True)]
        template = int(rng.integers(3))
        asked = [t for a in ATTRIBUTES for t in naming_texts(cache.names, a, template)]
        shown = cache.labels[rows]
        with torch.autocast("cpu", torch.bfloat16):
            close = torch.rand(size) * 0.3
            pictures = zoomed(cache.batch(rows), cache.boxes[rows], close)
            seen = image_vectors(clip, softened(pictures))
            read = text_vectors(clip, encode(tokenizer, [*texts, *asked], full=False))
        logits = clip.logit_scale.exp().clamp(max=60) * seen @ read.T
        true = agreement(cache.says[rows, which], shown, shown).float()
        loss = contrastive_loss(logits[:, :size], true)
        answers = logits[:, size:].split([len(cache.names[a]) for a in ATTRIBUTES], 1)
        naming = torch.stack([functional.cross_entropy(x, shown[:, i]) for i, x in enumerate(answers)]) @ WEIGHED
        optimizer.zero_grad(set_to_none=True)
        (loss + 3 * naming).backward()
        nn.utils.clip_grad_norm_(clip.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 100 == 0:
            log(
                step=step,
                loss=round(loss.item(), 3),
                naming=round(naming.item(), 3),
                **clip_accuracy(clip, tokenizer, cache, held),
            )
    log(step=step, done=True, **clip_accuracy(clip, tokenizer, cache, held))
    save_half(clip, out / "clip")
    clip_processor(tokenizer).save_pretrained(out / "clip")
    save_half(text_tower(clip), out / "sd" / "text_encoder")
    publish(out / "sd" / "tokenizer", lambda fresh: save_tokenizer(tokenizer, fresh))


def save_tokenizer(tokenizer: CLIPTokenizer, folder: Path) -> None:
    """In both forms: tokenizer.json, and the vocab.json and merges.txt that older releases ask for."""
    tokenizer.save_pretrained(folder)
    tokenizer.backend_tokenizer.model.save(str(folder))


def text_tower(clip: CLIPModel) -> CLIPTextModel:
    """The pipeline's text encoder: the CLIP's own text tower, unchanged."""
    tower = CLIPTextModel(clip.config.text_config)
    own = tower.state_dict()
    theirs = clip.text_model.state_dict()
    tower.load_state_dict({k: theirs[k.removeprefix("text_model.")] for k in own})
    return tower


# ------------------------------------------------------------------------------------------
# The autoencoder


def new_vae() -> AutoencoderKL:
    """f8, 4 latent channels. One layer a block and no attention: full-resolution layers are what costs on a CPU."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 64, 64),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        mid_block_add_attention=False,
        sample_size=RESOLUTION,
    )


def crops_of_shoes(cache: Cache, count: int, rng: np.random.Generator, side: int = 64) -> Tensor:
    """Random crops in -1..1 [count, 3, side, side]; most are centred on a pixel that is not background."""
    room = RESOLUTION - side
    crops = np.empty((count, side, side, 3), np.uint8)
    for i, row in enumerate(rng.integers(0, len(cache), count)):
        picture = cache.pictures[row]
        top, left = rng.integers(0, room + 1, 2)
        if rng.random() < 0.85:
            thin = picture[::4, ::4].astype(np.int16)
            ys, xs = np.nonzero(np.abs(thin - thin[0, 0]).max(-1) > 45)
            if len(ys):
                at = rng.integers(len(ys))
                spot = np.array([ys[at], xs[at]]) * 4 - side // 2
                top, left = np.clip(spot + rng.integers(-8, 9, 2), 0, room)
        crops[i] = picture[top : top + side, left : left + side]
    return to_tensor(crops)


def picture_loss(error: Tensor) -> Tensor:
    """L1 + L2, and the same again for what these forget: hue, broad areas and edges. Error [b, 3, h, w]."""
    chroma = error - error.mean(1, keepdim=True)
    broad = functional.avg_pool2d(error, 4)
    edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return error.abs().mean() + error.square().mean() + chroma.abs().mean() + broad.abs().mean() + 0.5 * edges


@torch.no_grad()
def measure_vae(vae: AutoencoderKL, cache: Cache, count: int = 64) -> float:
    """Mean absolute error in steps of 255 over whole pictures at the cache's end."""
    pictures = to_tensor(cache.pictures[-count:])
    vae.eval()
    errors = [(vae(x).sample.clamp(-1, 1) - x).abs().mean() for x in pictures.split(16)]
    vae.train()
    return round(float(torch.stack(errors).mean()) * 127.5, 2)


def train_vae(cache: Cache, out: Path, seconds: float, seed: int, go_on: bool, log: Log, size: int = 8) -> None:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    folder = out / "sd" / "vae"
    vae = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32) if go_on else new_vae()
    vae = vae.to(memory_format=torch.channels_last)
    log(parameters=sum(p.numel() for p in vae.parameters()))
    peak = 1.5e-3 if go_on else 2e-3
    weights = list(vae.parameters())
    optimizer = torch.optim.AdamW(weights, peak, betas=(0.9, 0.99), weight_decay=1e-4)
    clock, step, running, saved = Clock(seconds), 0, 0.0, time.monotonic()
    while clock.gone() < 1:
        for group in optimizer.param_groups:
            group["lr"] = peak * clock.rate(step, 200)
        crops = crops_of_shoes(cache, size, rng).contiguous(memory_format=torch.channels_last)

        def restore(rows: Tensor) -> tuple[Tensor, float]:
            posterior = vae.encode(crops[rows]).latent_dist  # noqa: B023
            error = vae.decode(posterior.sample()).sample - crops[rows]  # noqa: B023
            unruly = posterior.kl().mean() / posterior.mean[0].numel()
            return picture_loss(error) + 1e-3 * unruly, error.detach().abs().mean().item() * 127.5

        figure = shared_gradients(weights, restore, size)
        nn.utils.clip_grad_norm_(weights, 0.5)
        optimizer.step()
        step += 1
        running += (figure - running) * max(0.01, 1 / step)
        if step % 250 == 0:
            log(step=step, crops=step * size, crop_error=round(running, 2))
        if time.monotonic() - saved > 300:
            saved = time.monotonic()
            log(step=step, picture_error=measure_vae(vae, cache))
            finish_vae(vae, cache, folder)
    log(
        step=step,
        crops=step * size,
        picture_error=measure_vae(vae, cache),
        scale=finish_vae(vae, cache, folder),
        done=True,
    )


@torch.no_grad()
def finish_vae(vae: AutoencoderKL, cache: Cache, folder: Path) -> float:
    """Saves it with the scaling factor that makes latents of whole pictures have standard deviation 1."""
    pictures = to_tensor(cache.pictures[:256])
    latents = torch.cat([vae.encode(x).latent_dist.mean for x in pictures.split(16)])
    scale = round(float(1 / latents.std()), 5)
    vae.register_to_config(scaling_factor=scale)
    save_half(vae, folder)
    return scale


# ------------------------------------------------------------------------------------------
# The UNet


def new_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=RESOLUTION // 8,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(96, 128, 160),
        layers_per_block=1,
        cross_attention_dim=192,
        attention_head_dim=4,  # diffusers' old name: this is the number of heads
        norm_num_groups=16,
    )


def new_scheduler() -> DDIMScheduler:
    """v-prediction. Betas end higher than SD's, so that nothing of the picture is left at the last step and the
    brightness of a picture (white or slate background) is chosen freely; sigma's maximum is 64."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.02,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
    )


def cache_latents(vae: AutoencoderKL, cache: Cache) -> tuple[Tensor, Tensor]:
    """Scaled latent means and deviations of the first pictures, [n, 4, 16, 16] each."""

    @torch.no_grad()
    def encode_share(rows: Tensor) -> Tensor:
        found = []
        for some in rows.split(16):
            pictures = cache.batch(some).contiguous(memory_format=torch.channels_last)
            posterior = vae.encode(pictures).latent_dist
            found.append(torch.stack([posterior.mean, posterior.std]) * vae.config.scaling_factor)
        return torch.cat(found, 1)

    count = min(len(cache), LATENTS)
    mean, deviation = torch.cat(by_core(encode_share, torch.arange(count)), 1)
    return mean, deviation


class Average:
    """An exponential moving average of a model's weights, which starts short and grows long."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay, self.steps = copy.deepcopy(model).eval().requires_grad_(False), decay, 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.steps += 1
        keep = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(list(self.model.parameters()), list(model.parameters()), 1 - keep)


def train_unet(cache: Cache, out: Path, seconds: float, seed: int, go_on: bool, log: Log, size: int = 16) -> None:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    sd = out / "sd"
    vae = AutoencoderKL.from_pretrained(sd / "vae", torch_dtype=torch.float32).to(memory_format=torch.channels_last)
    text = CLIPTextModel.from_pretrained(sd / "text_encoder", dtype=torch.float32).eval().requires_grad_(False)
    tokenizer = CLIPTokenizer.from_pretrained(sd / "tokenizer")
    unet = UNet2DConditionModel.from_pretrained(sd / "unet", torch_dtype=torch.float32) if go_on else new_unet()
    unet = unet.to(memory_format=torch.channels_last).train()
    unet.set_attn_processor(AttnProcessor())  # at 256 places, plain attention trains faster than the fused one
    weights = list(unet.parameters())
    average = Average(unet, 0.998)
    scheduler = new_scheduler()
    clock = Clock(seconds)
    log(parameters=sum(p.numel() for p in unet.parameters()))
    latents, deviations = cache_latents(vae.eval(), cache)
    log(latents=len(latents))
    peak = 5e-4 if go_on else 6e-4
    optimizer = torch.optim.AdamW(weights, peak, betas=(0.9, 0.99), weight_decay=0.01)
    step, running, saved = 0, 0.0, time.monotonic()
    while clock.gone() < 1:
        for group in optimizer.param_groups:
            group["lr"] = peak * clock.rate(step, 200)
        rows = torch.randint(0, len(latents), (size,))
        x = latents[rows] + deviations[rows] * torch.randn(size, *latents.shape[1:])
        words = encode(tokenizer, [draw_caption(cache.texts[r], rng) for r in rows.tolist()], full=True)
        noise, t = torch.randn_like(x), torch.randint(0, 1000, (size,))
        noisy, goal = scheduler.add_noise(x, noise, t), scheduler.get_velocity(x, noise, t)

        def denoise(some: Tensor) -> tuple[Tensor, float]:
            with torch.autocast("cpu", torch.bfloat16):
                with torch.no_grad():
                    states = text(words[some]).last_hidden_state  # noqa: B023
                guess = unet(noisy[some], t[some], states).sample  # noqa: B023
            loss = functional.mse_loss(guess.float(), goal[some])  # noqa: B023
            return loss, loss.item()

        figure = shared_gradients(weights, denoise, size)
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        average.update(unet)
        step += 1
        running += (figure - running) * max(0.01, 1 / step)
        if step % 100 == 0:
            log(step=step, loss=round(running, 4))
        if time.monotonic() - saved > 300:
            saved = time.monotonic()
            finish_unet(average.model, out)
    finish_unet(average.model, out)
    log(step=step, pictures=step * size, loss=round(running, 4), done=True)


def draw_caption(texts: Sequence[str], rng: np.random.Generator) -> str:
    """One of a picture's captions; one in ten is empty, for guidance."""
    return "" if rng.random() < 0.1 else with_a_stranger(texts[int(rng.integers(len(texts)))], rng)


def finish_unet(unet: nn.Module, out: Path) -> None:
    """Saves the UNet and what else makes the folder a pipeline."""
    save_half(unet, out / "sd" / "unet")
    publish(out / "sd" / "scheduler", new_scheduler().save_pretrained)
    index = {
        "_class_name": "StableDiffusionPipeline",
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "image_encoder": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (out / "sd" / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


# ------------------------------------------------------------------------------------------
# The check's torch part, and the command line


def check(weights: Path, folder: Path, steps: int, guidance: float) -> None:
    """Answers the questions in `folder`: draws requests.json's prompts and names all pictures by the small CLIP.

    Reads requests.json (`prompts`, `seeds`, `names`) and drawn.npy; writes made.npy [n, 128, 128, 3] and answers.json.
    """
    wanted = json.loads((folder / "requests.json").read_text(encoding="utf-8"))
    pipe = StableDiffusionPipeline.from_pretrained(weights / "sd", torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    clip, tokenizer = _small_clip(weights)
    start = time.monotonic()
    made = np.concatenate(list(_generate(pipe, wanted["prompts"], wanted["seeds"], steps, guidance)))
    seconds = (time.monotonic() - start) / len(made)
    np.save(folder / "made.npy", made)
    answers = {
        "seconds_per_image": seconds,
        "resolution": int(made.shape[1]),
        "made": name_pictures(clip, tokenizer, wanted["names"], made),
        "drawn": name_pictures(clip, tokenizer, wanted["names"], np.load(folder / "drawn.npy")),
    }
    (folder / "answers.json").write_text(json.dumps(answers), encoding="utf-8")


def name(weights: Path, folder: Path) -> None:
    """Names the pictures in `folder` by the small CLIP: reads pictures.npy and names.json, writes answers.json."""
    names = json.loads((folder / "names.json").read_text(encoding="utf-8"))
    answers = name_pictures(*_small_clip(weights), names, np.load(folder / "pictures.npy"))
    (folder / "answers.json").write_text(json.dumps(answers), encoding="utf-8")


def _small_clip(weights: Path) -> tuple[CLIPModel, CLIPTokenizer]:
    clip = CLIPModel.from_pretrained(weights / "clip", dtype=torch.float32).eval()
    return clip, CLIPTokenizer.from_pretrained(weights / "clip")


def _generate(
    pipe: StableDiffusionPipeline, prompts: list[str], seeds: list[int], steps: int, guidance: float, size: int = 8
) -> Iterator[Bytes]:
    for start in range(0, len(prompts), size):
        some = slice(start, start + size)
        generators = [torch.Generator("cpu").manual_seed(s) for s in seeds[some]]
        images = pipe(
            prompts[some], num_inference_steps=steps, guidance_scale=guidance, generator=generators, output_type="np"
        ).images
        yield (images * 255).round().astype(np.uint8)


def train(cache: Path, out: Path, minutes: float, seed: int, go_on: bool, parts: Sequence[str], log: Path) -> None:
    drawings = Cache.open(cache)
    stages = {"clip": train_clip, "vae": train_vae, "unet": train_unet}
    whole = sum(SHARES[part] for part in parts)
    for part in (p for p in stages if p in parts):
        stages[part](drawings, out, minutes * 60 * SHARES[part] / whole, seed, go_on, Log(log, part))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("--cache", type=Path, required=True)
    training.add_argument("--out", type=Path, required=True)
    training.add_argument("--minutes", type=float, default=120)
    training.add_argument("--seed", type=int, default=1)
    training.add_argument("--continue", dest="go_on", action="store_true", help="go on from the weights in --out")
    training.add_argument("--parts", nargs="+", choices=list(SHARES), default=list(SHARES))
    training.add_argument("--log", type=Path, required=True)
    checking = commands.add_parser("check")
    checking.add_argument("--weights", type=Path, required=True)
    checking.add_argument("--folder", type=Path, required=True)
    checking.add_argument("--steps", type=int, default=25)
    checking.add_argument("--guidance", type=float, default=7.5)
    naming = commands.add_parser("name")
    naming.add_argument("--weights", type=Path, required=True)
    naming.add_argument("--folder", type=Path, required=True)
    args = parser.parse_args()
    if args.command == "train":
        train(args.cache, args.out, args.minutes, args.seed, args.go_on, args.parts, args.log)
    elif args.command == "name":
        name(args.weights, args.folder)
    else:
        check(args.weights, args.folder, args.steps, args.guidance)


if __name__ == "__main__":
    main()
