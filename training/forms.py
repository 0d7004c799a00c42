"""The form of a new run. It checks only shape; what is allowed is said by TrainSpec, the plan and the services."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.formats import sanitize_separators
from django.utils.functional import Promise
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from shoesai.engine.specs import LORA_TARGETS, LR_SCHEDULERS, SpecError, TrainSpec
from shoesai.models import User
from shoesai.sentences import said
from training import recipe
from training.models import BaseModel, Dataset, DatasetVersion, TrainingRun
from training.plan import PRESETS, default_validation_prompts, settings_of_base

# A preset says nothing about these.
PERSONAL = ("validation_prompts", "validation_seeds", "trigger_words", "seed")


class BaseSelect(forms.Select):
    """Options know what suits their base model, so that the page can follow it."""

    bases: Mapping[str, BaseModel] = {}

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option = super().create_option(name, value, *args, **kwargs)
        base = self.bases.get(str(value))
        for setting, suits in (settings_of_base(base) if base else {}).items():
            option["attrs"][f"data-{setting}"] = as_form_value(suits)
        return option


class LinesField(forms.CharField):
    """One a line, as a tuple; empty lines do not count."""

    widget = forms.Textarea(attrs={"rows": 4})

    def clean(self, value: Any) -> tuple[str, ...]:
        lines = (line.strip() for line in super().clean(value).splitlines())
        return tuple(line for line in lines if line)


class SeedsField(forms.CharField):
    """Whole numbers with commas or spaces between them, as a tuple."""

    def clean(self, value: Any) -> tuple[int, ...]:
        parts = super().clean(value).replace(",", " ").split()
        if not all(part.isascii() and part.isdigit() and len(part) <= 20 for part in parts):
            raise forms.ValidationError(_("Whole numbers with commas between them."))
        return tuple(map(int, parts))


class TargetsField(forms.MultipleChoiceField):
    """Always in the engine's order, whatever was ticked first."""

    widget = forms.CheckboxSelectMultiple

    def clean(self, value: Any) -> tuple[str, ...]:
        chosen = super().clean(value)
        return tuple(target for target in LORA_TARGETS if target in chosen)


def field_for(name: str) -> forms.Field:
    """The form field of a setting, by the type of its default: a new setting of TrainSpec needs nothing here."""
    default = recipe.DEFAULTS[name]
    words = recipe.words_for(name)
    options: dict[str, Any] = {"label": words.label, "help_text": words.help, "required": False}
    if name == "lora_targets":
        return TargetsField(choices=[(target, target) for target in LORA_TARGETS], **options)
    if name == "validation_seeds":
        return SeedsField(**options)
    if name == "lr_scheduler":
        return forms.ChoiceField(choices=[(each, each) for each in LR_SCHEDULERS], **options)
    if isinstance(default, tuple):
        return LinesField(**options)
    if isinstance(default, bool):
        return forms.BooleanField(**options)
    options["required"] = not isinstance(default, str)
    if isinstance(default, int):
        return forms.IntegerField(widget=forms.TextInput(attrs={"inputmode": "numeric"}), **options)
    if isinstance(default, float):
        # Localized: 0,0001 where people write it so, and 0.0001 everywhere
        return forms.FloatField(localize=True, widget=forms.TextInput(attrs={"inputmode": "decimal"}), **options)
    return forms.CharField(max_length=200, **options)


def as_form_value(value: Any) -> Any:
    """What a field shows for a setting: every digit of a number, lines for texts, commas for seeds."""
    if isinstance(value, bool) or not isinstance(value, int | float | list | tuple):
        return value
    if isinstance(value, list | tuple):
        texts = [str(item) for item in value]
        if set(texts) <= set(LORA_TARGETS) and texts:
            return texts
        return (", " if all(isinstance(item, int) for item in value) else "\n").join(texts)
    return recipe.shown(value)


class TrainForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=120, help_text=gettext_lazy("Letters, digits, '.', '_' and '-'.")
    )
    dataset_version = forms.ModelChoiceField(
        label=gettext_lazy("Photos"), queryset=DatasetVersion.objects.none(), empty_label=None
    )
    base_model = forms.ModelChoiceField(
        label=gettext_lazy("Base model"), queryset=BaseModel.objects.all(), empty_label=None, widget=BaseSelect
    )
    court = forms.ChoiceField(
        label=gettext_lazy("Checkpoint court"),
        choices=TrainingRun.Court.choices,
        required=False,
        help_text=gettext_lazy("Training steps aside while pictures of a new checkpoint are made and judged."),
    )
    notify = forms.BooleanField(label=gettext_lazy("Send me an e-mail when it ends"), required=False)
    parent = forms.ModelChoiceField(
        queryset=TrainingRun.objects.none(), required=False, widget=forms.HiddenInput, label=gettext_lazy("Cloned from")
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        for name in recipe.in_order():
            self.fields[name] = field_for(name)
        self.fields["parent"].queryset = TrainingRun.objects.visible_to(user)  # type: ignore[attr-defined]
        self.fields["dataset_version"].queryset = versions_of(user)  # type: ignore[attr-defined]
        self.fields["dataset_version"].widget.choices = version_choices(versions_of(user))
        bases = list(BaseModel.objects.all())
        self.fields["base_model"].widget.choices = [(str(base.pk), str(base)) for base in bases]
        self.fields["base_model"].widget.bases = {str(base.pk): base for base in bases}
        if not user.email:
            self.fields["notify"].disabled = True
            self.fields["notify"].help_text = _("Your account has no e-mail address.")

    # --- for the template ---------------------------------------------------------------------------------------
    def has_photos(self) -> bool:
        return bool(self.fields["dataset_version"].widget.choices)

    def expert_groups(self) -> list[tuple[Promise, list[forms.BoundField]]]:
        grouped = (
            (title, [self[name] for name in recipe.in_order() if recipe.words_for(name).group == group])
            for group, title in recipe.GROUPS.items()
            if group != recipe.MAIN
        )
        return [(title, fields) for title, fields in grouped if fields]

    def expert_count(self) -> int:
        """How many settings under Expert are not the seed's."""
        values = {name: self[name].value() for name in recipe.in_order() if recipe.words_for(name).group != recipe.MAIN}
        return sum(not _same(value, recipe.DEFAULTS[name]) for name, value in values.items())

    def expert_errors(self) -> bool:
        return any(recipe.words_for(name).group != recipe.MAIN for name in self.errors if name in recipe.DEFAULTS)

    def shown_base(self) -> BaseModel | None:
        value = self["base_model"].value()
        return found(BaseModel.objects.all(), value.pk if isinstance(value, BaseModel) else value)

    def presets(self) -> list[dict[str, Any]]:
        """Each with whether the form holds exactly its settings now."""
        base = self.shown_base()
        return [
            {
                "name": name,
                "title": preset.title,
                "sentence": preset.sentence,
                "chosen": base is not None and self._holds(preset_values(name, base)),
            }
            for name, preset in PRESETS.items()
        ]

    def _holds(self, values: Mapping[str, Any]) -> bool:
        return all(_same(self[name].value(), value) for name, value in values.items() if name not in PERSONAL)

    # --- what it says -------------------------------------------------------------------------------------------
    def clean(self) -> dict[str, Any]:
        """`spec` and what else a run starts with; a missing name does not keep the plan from being made."""
        data = super().clean() or {}
        if set(self.errors) - {"name"}:
            return data
        try:
            spec = TrainSpec(**{name: data[name] for name in recipe.DEFAULTS})
        except SpecError as error:
            self._show(error)
            return data
        if spec.validation_steps and not spec.validation_prompts:
            spec = replace(spec, validation_prompts=default_validation_prompts(data["dataset_version"], spec))
        data["spec"] = spec
        return data

    def spec(self) -> TrainSpec | None:
        """What is to be trained, on photos and a base that are there; None while something keeps it from being so."""
        self.is_valid()
        complete = {"dataset_version", "base_model", "spec"} <= self.cleaned_data.keys()
        return self.cleaned_data["spec"] if complete else None

    def _show(self, error: SpecError) -> None:
        """At the field that it names, `validation_seeds[1]` at `validation_seeds`."""
        field = error.field_name.partition("[")[0]
        message = said(error.message)
        words = f"{message[0].upper()}{message[1:]}."
        if field in self.fields:
            self.add_error(field, words)
        else:
            self.add_error(None, f"{error.field_name}: {message}")

    def show_problem(self, text: str) -> None:
        """A problem of plan or services, as in "name: there is a run named …", at the field it names."""
        field, colon, rest = text.partition(": ")
        field = {"dataset": "dataset_version"}.get(field, field)
        if colon and field in self.fields:
            self.add_error(field, rest[0].upper() + rest[1:])
        else:
            self.add_error(None, text)


def _same(value: Any, default: Any) -> bool:
    """What a field holds, be it typed text or a value, is this setting."""
    shown = as_form_value(default)
    if isinstance(default, bool):
        return bool(value) == default
    if isinstance(default, int | float):
        try:
            return float(sanitize_separators(value)) == float(default)
        except (TypeError, ValueError, OverflowError):
            return False
    if isinstance(shown, list):
        return set(value or ()) == set(shown)
    return str(value or "").split() == str(shown or "").split()


# --- photos -----------------------------------------------------------------------------------------------------
def versions_of(user: User) -> QuerySet[DatasetVersion]:
    visible = Dataset.objects.visible_to(user)
    return (
        DatasetVersion.objects.frozen()
        .filter(dataset__in=visible)
        .select_related("dataset")
        .order_by("-dataset__created_at", "dataset_id", "-number")
    )


def version_choices(versions: Iterable[DatasetVersion]) -> list[Any]:
    """The latest of each dataset first, older ones in a group of their own."""
    latest: list[tuple[str, str]] = []
    older: list[tuple[str, str]] = []
    seen = set()
    for version in versions:
        words = _("%(version)s · %(photos)d photos") % {"version": version, "photos": version.photo_count}
        (older if version.dataset_id in seen else latest).append((str(version.pk), words))
        seen.add(version.dataset_id)
    return [*latest, *([(_("Older versions"), older)] if older else [])]


# --- what it begins with ----------------------------------------------------------------------------------------
def preset_values(name: str, base: BaseModel) -> dict[str, Any]:
    """Every setting of a preset but the personal ones."""
    values = recipe.DEFAULTS | PRESETS[name].settings_for(base)
    return {key: value for key, value in values.items() if key not in PERSONAL}


def as_form_values(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: as_form_value(value) for name, value in settings.items() if name in recipe.DEFAULTS}


def beginning(user: User, *, version: str = "", base: str = "", preset: str = "") -> dict[str, Any]:
    """A new run as it is offered: the newest photos, the base last trained on, the seed's recipe."""
    versions = versions_of(user)
    chosen_version = found(versions, version) or versions.first()
    chosen_base = found(BaseModel.objects.all(), base) or _usual_base(user)
    values: dict[str, Any] = {"dataset_version": chosen_version, "base_model": chosen_base}
    if chosen_version:
        values["name"] = suggested_name(slugify(chosen_version.dataset.name) or "run")
    if chosen_base:
        wanted = preset if preset in PRESETS else "seed_recipe"
        values |= as_form_values({**recipe.DEFAULTS, **preset_values(wanted, chosen_base)})
    return values


def cloned(run: TrainingRun) -> dict[str, Any]:
    """Everything as in `run`, under a name of its own."""
    spec = {**recipe.DEFAULTS, **run.spec}
    return {
        "name": suggested_name(run.name),
        "dataset_version": run.dataset_version_id,
        "base_model": run.base_model_id,
        "notify": run.notify,
        "court": run.court,
        "parent": run.pk,
        **as_form_values(spec),
    }


def _usual_base(user: User) -> BaseModel | None:
    last = TrainingRun.objects.filter(owner=user, dataset_version__isnull=False).select_related("base_model").first()
    if last:
        return last.base_model
    bases = list(BaseModel.objects.order_by("created_at"))
    return next((base for base in bases if base.family != "starter"), bases[0] if bases else None)


def found(rows: QuerySet[Any], pk: Any) -> Any:
    """The row of this id, or None: also for what is no id at all."""
    try:
        return rows.filter(pk=pk).first() if pk else None
    except (ValueError, ValidationError):
        return None


def suggested_name(stem: str) -> str:
    """`spring`, or `spring-2` when there is one: a name that nobody has."""
    stem = re.sub(r"-\d+$", "", stem)[:100]
    taken = set(TrainingRun.objects.filter(name__startswith=stem).values_list("name", flat=True))
    return next(name for n in range(1, 100_000) if (name := stem if n == 1 else f"{stem}-{n}") not in taken)
