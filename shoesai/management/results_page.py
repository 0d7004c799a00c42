"""docs/gallery.md: the blocks between its marks are written by `manage.py results_gallery`, all else by people."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from generation.schedulers import DEFAULT, SCHEDULERS
from shoesai.engine.specs import TrainSpec
from shoesai.management.results import Chapter, Figures, Settings, as_command, short
from training.models import TrainingRun

TITLE = "# Gallery of results\n"
PYTHON = ".venv/bin/python manage.py"


def with_block(page: str, name: str, title: str, block: str) -> str:
    """The page with this block in place of the one of its name; a page that has none gets it at its end."""
    begin, end = f"<!-- {name}: written by manage.py results_gallery -->", f"<!-- end of {name} -->"
    marked = f"{begin}\n{block.strip()}\n{end}"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if pattern.search(page):
        return pattern.sub(lambda _: marked, page)
    return f"{page or TITLE}\n## {title}\n\n{marked}\n"


def chapter_block(chapter: Chapter, sheet: str, figures: Sequence[tuple[str, Figures]], reference: str) -> str:
    last = chapter.rows[-1].wishes[0].request
    return "\n".join(
        [
            f"![{chapter.title}: one row for each of the {chapter.compares}]({sheet})",
            "",
            *figures_table(figures),
            "",
            "The first picture of the last row again:",
            "",
            *_shell(f"{PYTHON} {as_command(last, reference)}"),
        ]
    )


def summary_block(run: TrainingRun, settings: Settings, figures: Sequence[tuple[str, Figures]], out: str) -> str:
    losses = dict(run.validation_losses.values_list("step", "loss"))
    steps = {short(each.name): each.step for each in run.checkpoints.select_related("run")}
    found = [losses.get(steps.get(label, 0)) for label, _ in figures]  # step 0 is the base model
    column = ["–" if loss is None else f"{loss:.3f}" for loss in found]
    return "\n".join(
        [
            *figures_table(figures, ("loss on held-out photos", column)),
            "",
            *(f"* {line}" for line in (_training(run), _sampling(settings))),
            "",
            *_shell(
                f"{PYTHON} results_gallery --run {run.name} --steps {settings.steps} --guidance {settings.guidance:g}"
                f" --seed {settings.seed} --out {out}"
            ),
        ]
    )


def figures_table(
    figures: Sequence[tuple[str, Figures]], more: tuple[str, Sequence[str]] | None = None
) -> Iterator[str]:
    heads = ["", "pictures", "white background", "right colour", "right type", *([more[0]] if more else [])]
    yield _cells(heads)
    yield "|---|" + "---:|" * (len(heads) - 1)
    for number, (label, each) in enumerate(figures):
        counts = (each.pictures, each.white, each.colour, each.type)
        yield _cells([label, *map(str, counts), *([more[1][number]] if more else [])])


def _cells(words: Sequence[str]) -> str:
    return f"| {' | '.join(words)} |"


def _shell(line: str) -> list[str]:
    return ["```bash", line, "```"]


def _training(run: TrainingRun) -> str:
    if not run.spec:
        return f"Training: `{run.name}` on `{run.base_model.name}`; how it was trained is not recorded."
    spec = TrainSpec.from_dict(run.spec)
    photos = run.dataset_version.photo_count if run.dataset_version else 0
    batch = spec.train_batch_size * spec.gradient_accumulation_steps
    return (
        f"Training: `{run.name}` on `{run.base_model.name}`, {photos} photos, rank {spec.rank},"
        f" alpha {spec.lora_alpha}, {spec.max_train_steps} steps of {batch},"
        f" learning rate {spec.learning_rate:g} ({spec.lr_scheduler}), caption dropout {spec.caption_dropout:g},"
        f" seed {spec.seed}; {run.train_seconds:.0f} s on {run.engine.get('device', 'an unknown device')}."
    )


def _sampling(settings: Settings) -> str:
    return (
        f"Pictures, where a chapter does not say otherwise: {settings.steps} steps,"
        f" guidance {settings.guidance:g}, {SCHEDULERS[DEFAULT].label}, seeds from {settings.seed},"
        f" {', '.join(short(model) for model in settings.models)}."
    )
