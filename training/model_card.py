"""The README.md of a model repository: front matter that hubs read, and words that people do."""

from __future__ import annotations

import json
from collections.abc import Mapping

from shoesai.engine.lora_formats import WEIGHTS, Lora
from training.base_models import HUB_ID
from training.export_metadata import source_of
from training.models import BaseModel, Checkpoint, Family, TrainingRun

TAGS = {
    Family.SD15: ["stable-diffusion", "stable-diffusion-diffusers", "text-to-image", "diffusers", "lora"],
    Family.SDXL: ["stable-diffusion-xl", "stable-diffusion-xl-diffusers", "text-to-image", "diffusers", "lora"],
    Family.STARTER: ["text-to-image", "diffusers", "lora"],
}


def model_card(checkpoint: Checkpoint, lora: Lora, pictures: Mapping[str, str]) -> str:
    """`pictures`: relative name → the prompt it was drawn with."""
    run = checkpoint.run
    sections = [
        _front_matter(run, pictures),
        f"# {run.name}, step {checkpoint.step}",
        f"A LoRA (rank {lora.rank}, alpha {lora.alpha:g}, so a scale of {lora.alpha / lora.rank:g}) for"
        f" {_line(run.base_model.title)}, made with Shoes AI Generator.",
        _trigger(run),
        _gallery(pictures),
        _use(run.base_model),
        _training(checkpoint),
        _licence(run),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _front_matter(run: TrainingRun, pictures: Mapping[str, str]) -> str:
    """Every value as JSON, which is YAML too: no text of a user's can break out of it."""
    base = run.base_model
    rows = [f"library_name: {_quoted('diffusers')}", f"tags: {_quoted([*TAGS[Family(base.family)], 'shoes'])}"]
    if HUB_ID.fullmatch(source_of(base)):
        rows.append(f"base_model: {_quoted(source_of(base))}")
    if base.license_note:
        rows += [f"license: {_quoted('other')}", f"license_name: {_quoted(_one_line(base.license_note))}"]
    words = run.spec.get("trigger_words")
    if words:
        rows.append(f"instance_prompt: {_quoted(words)}")
    if pictures:
        rows.append("widget:")
        for name, prompt in pictures.items():
            rows += [f"- text: {_quoted(prompt)}", "  output:", f"    url: {_quoted(name)}"]
    return "\n".join(["---", *rows, "---"])


def _trigger(run: TrainingRun) -> str:
    words = run.spec.get("trigger_words")
    return f"## Trigger words\n\nPut {_code(words)} into the prompt." if words else ""


def _gallery(pictures: Mapping[str, str]) -> str:
    if not pictures:
        return ""
    rows = [f"![{_line(prompt)}]({name})\n{_code(prompt)}" for name, prompt in pictures.items()]
    return "## Pictures\n\nDrawn while it was trained, with these prompts and fixed seeds.\n\n" + "\n\n".join(rows)


def _use(base: BaseModel) -> str:
    origin = source_of(base)
    if not HUB_ID.fullmatch(origin):
        origin = f"path/to/{origin}"
    return f"""## Use

```python
from diffusers import StableDiffusionPipeline

pipeline = StableDiffusionPipeline.from_pretrained({json.dumps(origin)})
pipeline.load_lora_weights(".", weight_name="{WEIGHTS}")
```

The file says its alpha, so no scale has to be set by hand."""


def _training(checkpoint: Checkpoint) -> str:
    run, version = checkpoint.run, checkpoint.run.dataset_version
    facts = {"base model": source_of(run.base_model), "step": checkpoint.step}
    if run.base_model.sha256:
        facts["base model's SHA-256"] = run.base_model.sha256
    if version:
        facts |= {
            "dataset": f"{version.dataset.name}, version {version.number}",
            "photos": version.photo_count,
            "dataset's SHA-256": version.content_hash,
        }
    if checkpoint.validation_loss is not None:
        facts["loss on photos held out"] = f"{checkpoint.validation_loss:.5f}"
    facts |= {name: value for name, value in run.spec.items() if value not in ("", None, [], ())}
    rows = [f"| {_cell(name)} | {_cell(value)} |" for name, value in facts.items()]
    return "\n".join(["## Training", "", "| | |", "|---|---|", *rows])


def _licence(run: TrainingRun) -> str:
    base, version = run.base_model, run.dataset_version
    note = _line(base.license_note) or "none is recorded here; ask whoever published it."
    lines = ["## Licence", "", f"The base model's: {note}"]
    if version and version.dataset.description.strip():
        lines += ["", f"Of the photos: {_line(version.dataset.description)}"]
    elif version:
        lines += ["", "Of the photos, nothing is recorded here: publish this only if their owner agrees."]
    return "\n".join(lines)


def _quoted(value: object) -> str:
    return json.dumps(value)


def _line(text: str) -> str:
    """One line of a user's words, with nothing that Markdown or HTML would obey."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>()#|!~" else letter for letter in _one_line(text))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _code(text: object) -> str:
    plain = _one_line(str(text))
    fence = "`" * (max((len(run) for run in _runs_of_backticks(plain)), default=0) + 1)
    edge = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{edge}{plain}{edge}{fence}"


def _runs_of_backticks(text: str) -> list[str]:
    return "".join(letter if letter == "`" else " " for letter in text).split()


def _cell(value: object) -> str:
    text = "; ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return _line(text)
