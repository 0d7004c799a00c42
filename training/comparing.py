"""Two runs beside each other: curves in one drawing, settings and figures in one table, pictures in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from shoesai.numbers import grouped, in_language
from training import charts, recipe
from training.charts import Chart, Curve
from training.models import ValidationImage
from training.templatetags.training import duration, memory
from training.watching import RunView


@dataclass(frozen=True)
class Row:
    """What is said of both runs under one label."""

    label: str | Promise
    a: str
    b: str

    @property
    def differs(self) -> bool:
        return self.a != self.b


@dataclass(frozen=True)
class PairedPrompt:
    """One prompt's pictures, a column each for `Comparison.steps`; a run that did not draw it has gaps."""

    prompt: str
    a: list[ValidationImage | None]
    b: list[ValidationImage | None]


@dataclass
class Comparison:
    a: RunView
    b: RunView

    @cached_property
    def charts(self) -> list[Chart]:
        drawn = [self._loss_chart(), self._validation_chart()]
        return [chart for chart in drawn if chart]

    @property
    def _last_x(self) -> int:
        return max(self.a.reached, self.b.reached)

    def _loss_chart(self) -> Chart | None:
        curves = [
            Curve("A", "raw of-a", self.a.raw_loss, faint=True),
            Curve("B", "raw of-b", self.b.raw_loss, faint=True),
            Curve(_("A, smoothed"), "smooth of-a", self.a.smooth_loss),
            Curve(_("B, smoothed"), "smooth of-b", self.b.smooth_loss),
        ]
        return charts.draw(_("Loss"), curves, last_x=self._last_x)

    def _validation_chart(self) -> Chart | None:
        curves = [
            Curve("A", "validation of-a", self.a.validation_loss, dotted=True),
            Curve("B", "validation of-b", self.b.validation_loss, dotted=True),
        ]
        return charts.draw(_("Validation loss"), curves, last_x=self._last_x)

    @cached_property
    def figures(self) -> list[Row]:
        pairs = zip(_figures(self.a), _figures(self.b), strict=True)
        return [Row(label, a, b) for (label, a), (_label, b) in pairs]

    @cached_property
    def settings(self) -> list[Row]:
        """What each was made from, and every setting."""
        rows = [
            Row(_("Base model"), str(self.a.run.base_model), str(self.b.run.base_model)),
            Row(_("Photos"), _photos(self.a), _photos(self.b)),
        ]
        pairs = zip(recipe.settings_of(self.a.run.spec), recipe.settings_of(self.b.run.spec), strict=True)
        return rows + [Row(a.label, a.shown, b.shown) for a, b in pairs]

    @property
    def differing(self) -> list[Row]:
        return [row for row in self.settings if row.differs]

    @cached_property
    def steps(self) -> list[tuple[int, int]]:
        return nearest_pairs(self.a.strip_steps, self.b.strip_steps)

    @cached_property
    def pictures(self) -> list[PairedPrompt]:
        """Prompts that both have drawn come first."""
        a, b = _by_prompt(self.a), _by_prompt(self.b)
        prompts = sorted(dict.fromkeys([*a, *b]), key=lambda prompt: (prompt not in a) + (prompt not in b))
        return [
            PairedPrompt(
                prompt,
                [a.get(prompt, {}).get(step) for step, _other in self.steps],
                [b.get(prompt, {}).get(step) for _other, step in self.steps],
            )
            for prompt in prompts
        ]


def nearest_pairs(a: Sequence[int], b: Sequence[int]) -> list[tuple[int, int]]:
    """Each step of one run with the nearest of the other. A run without pictures lends the other's steps."""
    if not (a and b):
        return [(step, step) for step in (a or b)]
    pairs = {(step, _nearest(step, b)) for step in a} | {(_nearest(step, a), step) for step in b}
    return sorted(pairs)


def _nearest(step: int, others: Sequence[int]) -> int:
    return min(others, key=lambda other: (abs(other - step), other))


def _by_prompt(view: RunView) -> dict[str, dict[int, ValidationImage]]:
    found: dict[str, dict[int, ValidationImage]] = {}
    for image in view.images:
        found.setdefault(image.prompt, {}).setdefault(image.step, image)
    return found


def _photos(view: RunView) -> str:
    version = view.run.dataset_version
    return f"{version} ({version.content_hash[:12]})" if version else "–"


def _figures(view: RunView) -> list[tuple[str, str]]:
    best, engine = view.best_validation, view.run.engine
    return [
        (_("State"), str(view.run.get_state_display())),
        (_("Best validation loss"), _("%(loss)s at step %(step)s") % _told(best.loss, best.step) if best else "–"),
        (_("Last loss, smoothed"), in_language(f"{view.loss:.4f}") if view.loss is not None else "–"),
        (_("Steps"), grouped(view.step)),
        (_("Trained for"), duration(view.seconds_trained) if view.seconds_trained else "–"),
        (_("Time per step"), duration(view.seconds_per_step)),
        (_("Memory"), memory(view.memory_bytes)),
        (_("Device"), str(engine.get("device", "–"))),
        (_("Precision"), str(engine.get("precision", "–"))),
    ]


def _told(loss: float, step: int) -> dict[str, Any]:
    return {"loss": in_language(f"{loss:.4f}"), "step": grouped(step)}
