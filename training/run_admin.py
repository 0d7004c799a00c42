"""Runs in the administration: machine facts to look at, and the few things that a person may ask of a run."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import FileResponse, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from shoesai.admin import ReadOnly
from shoesai.auth import caller
from shoesai.jobs.queue import QueueFull
from training.exports import ZIP, write_zip
from training.media import validation_bytes
from training.models import (
    Checkpoint,
    RunEvent,
    TrainingMetric,
    TrainingRun,
    TrainingState,
    ValidationImage,
    ValidationLoss,
)
from training.records import records_of, weights_of
from training.services import (
    WrongState,
    cancel_training,
    delete_run,
    pause_training,
    resume_training,
    why_not_deleted,
)
from training.standing import newest_job_of, step_of, total_of, with_standing
from training.watching import clonable_by

LOG_LINES = 100
THUMBNAIL_WIDTH = 96


def _not_clonable(run: TrainingRun) -> str:
    """A clone trains on the run's photos, and being staff makes nobody a member of a team."""
    if run.dataset_version is None:
        return _("Run %(run)s was not trained here, so there are no photos to train a clone on.") % {"run": run}
    words = _("Run %(run)s belongs to %(whose)s; only its owner and their team can clone it.")
    return words % {"run": run, "whose": run.team or run.owner}


class OfRun(ReadOnly, admin.ModelAdmin):
    """Rows that hang on a run."""

    search_fields = ["run__name"]
    list_select_related = ["run"]


class CheckpointInline(ReadOnly, admin.TabularInline):
    model = Checkpoint
    fields = ["picture", "step", "validation_loss", "pinned", "rank", "lora_alpha", "blob", "created_at"]
    readonly_fields = ["picture"]
    show_change_link = True
    extra = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[Checkpoint]:
        same_step = ValidationImage.objects.filter(run=OuterRef("run"), step=OuterRef("step")).order_by("seq")
        return super().get_queryset(request).annotate(picture_id=Subquery(same_step.values("pk")[:1])).order_by("step")

    @admin.display(description=gettext_lazy("drawn with it"))
    def picture(self, checkpoint: Checkpoint) -> SafeString | str:
        picture_id: UUID | None = checkpoint.picture_id  # type: ignore[attr-defined]
        if picture_id is None:
            return "–"
        address = reverse("admin:training_trainingrun_validation", args=[checkpoint.run_id, picture_id])
        return format_html('<img src="{}" width="{}" loading="lazy" alt="">', address, THUMBNAIL_WIDTH)


@admin.register(TrainingRun)
class TrainingRunAdmin(ReadOnly, admin.ModelAdmin):
    """The queue and the services write runs; actions go through the services."""

    list_display = [
        "name", "owner", "team", "state", "progress", "best", "newest_job", "base_model", "dataset_version",
        "created_at",
    ]  # fmt: skip
    list_filter = ["state", "family", "base_model", "team", "created_at"]
    search_fields = ["name", "owner__username", "dataset_version__dataset__name", "id"]
    list_select_related = ["owner", "team", "base_model", "dataset_version__dataset"]
    date_hierarchy = "created_at"
    actions = ["pause", "resume", "cancel", "clone", "export"]
    inlines = [CheckpointInline]
    readonly_fields = ["progress", "best", "newest_job", "resume_step", "recipe", "device", "rows", "log"]
    fieldsets = [
        (None, {"fields": ["name", "owner", "team", "state", "pause_requested", "progress", "best", "resume_step",
                           "newest_job"]}),
        (gettext_lazy("Made from"), {"fields": ["base_model", "family", "dataset_version", "parent", "recipe"]}),
        (gettext_lazy("Trained"), {"fields": ["device", "train_seconds", "notify", "court", "created_at",
                                               "finished_at"]}),
        (gettext_lazy("Log"), {"fields": ["rows", "log"]}),
    ]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[TrainingRun]:
        return with_standing(super().get_queryset(request))

    def get_urls(self) -> list[URLPattern]:
        picture = path(
            "<uuid:run_id>/validation/<uuid:pk>/",
            self.admin_site.admin_view(self.validation_picture),
            name="training_trainingrun_validation",
        )
        return [picture, *super().get_urls()]

    def validation_picture(self, request: HttpRequest, run_id: UUID, pk: UUID) -> HttpResponseBase:
        if not self.has_view_permission(request):
            raise PermissionDenied
        images = ValidationImage.objects.select_related("blob", "run")
        return validation_bytes(request, get_object_or_404(images, run=run_id, pk=pk), small=True)

    # --- columns and fields -------------------------------------------------------------------------------------
    @admin.display(description=gettext_lazy("progress"))
    def progress(self, run: TrainingRun) -> str:
        return f"{step_of(run)}/{total_of(run)}" if total_of(run) else f"{step_of(run)}"

    @admin.display(description=gettext_lazy("best validation loss"), ordering="best_loss")
    def best(self, run: TrainingRun) -> str:
        step, loss = run.best_step, run.best_loss  # type: ignore[attr-defined]
        return _("%(loss).4f at step %(step)d") % {"loss": loss, "step": step} if step is not None else "–"

    @admin.display(description=gettext_lazy("newest job"))
    def newest_job(self, run: TrainingRun) -> SafeString | str:
        job = newest_job_of(run)
        if job is None:
            return "–"
        words = f"{job.get_state_display()} ({job.error_code})" if job.error_code else job.get_state_display()
        return format_html('<a href="{}">{}</a>', reverse("admin:shoesai_job_change", args=[job.pk]), words)

    @admin.display(description=gettext_lazy("recipe"))
    def recipe(self, run: TrainingRun) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(run.spec, indent=2, ensure_ascii=False))

    @admin.display(description=gettext_lazy("engine"))
    def device(self, run: TrainingRun) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(run.engine, indent=2, ensure_ascii=False))

    @admin.display(description=gettext_lazy("all rows"))
    def rows(self, run: TrainingRun) -> SafeString:
        models = (RunEvent, TrainingMetric, ValidationLoss, ValidationImage, TrainingState)
        links = (
            (f"{reverse(f'admin:training_{model._meta.model_name}_changelist')}?run__id__exact={run.pk}",
             model.objects.filter(run=run).count(), model._meta.verbose_name_plural)
            for model in models
        )  # fmt: skip
        return format_html_join(" · ", '<a href="{}">{} {}</a>', links)

    @admin.display(description=gettext_lazy("last lines"))
    def log(self, run: TrainingRun) -> SafeString:
        lines = list(run.events.order_by("-at", "-id")[:LOG_LINES])[::-1]
        rows = ((f"{line.at:%Y-%m-%d %H:%M:%S}", line.message) for line in lines)
        return format_html_join("", "<div>{} {}</div>", rows)

    # --- actions ------------------------------------------------------------------------------------------------
    def has_act_permission(self, request: HttpRequest) -> bool:
        """Rows are read-only, so the permission to change runs is that to act on them."""
        return request.user.has_perm("training.change_trainingrun")

    @admin.action(description=gettext_lazy("Pause the selected runs"), permissions=["act"])
    def pause(self, request: HttpRequest, runs: QuerySet[TrainingRun]) -> None:
        self._ask(request, runs, pause_training, _("asked to pause"))

    @admin.action(description=gettext_lazy("Resume the selected runs"), permissions=["act"])
    def resume(self, request: HttpRequest, runs: QuerySet[TrainingRun]) -> None:
        self._ask(request, runs, resume_training, _("queued to go on"))

    @admin.action(description=gettext_lazy("Cancel the selected runs"), permissions=["act"])
    def cancel(self, request: HttpRequest, runs: QuerySet[TrainingRun]) -> None:
        self._ask(request, runs, cancel_training, _("asked to stop"))

    def _ask(
        self, request: HttpRequest, runs: QuerySet[TrainingRun], act: Callable[[TrainingRun], object], done: str
    ) -> None:
        """Each run for itself: what is wrong with one does not keep the others."""
        for run in runs:
            try:
                act(run)
            except WrongState as problem:  # begins with the run's name
                self.message_user(request, _("Run %(problem)s") % {"problem": problem}, messages.WARNING)
            except QueueFull as problem:
                self.message_user(request, f"{_('Run')} {run.name}: {problem}", messages.WARNING)
            else:
                self.message_user(request, f"{_('Run')} {run.name}: {done}.", messages.SUCCESS)

    @admin.action(description=gettext_lazy("Clone the selected run"), permissions=["act"])
    def clone(self, request: HttpRequest, runs: QuerySet[TrainingRun]) -> HttpResponse | None:
        if runs.count() != 1:
            self.message_user(request, _("Select one run to clone."), messages.WARNING)
            return None
        run = runs.get()
        if not clonable_by(caller(request)).filter(pk=run.pk).exists():
            self.message_user(request, _not_clonable(run), messages.WARNING)
            return None
        return redirect(f"{reverse('training-new')}?clone={run.pk}")

    @admin.action(description=gettext_lazy("Export spec, curves, checkpoints and log (ZIP)"), permissions=["act"])
    def export(self, request: HttpRequest, runs: QuerySet[TrainingRun]) -> FileResponse:
        chosen = list(runs.select_related("base_model", "dataset_version__dataset"))
        name = chosen[0].name if len(chosen) == 1 else "runs"
        out = tempfile.TemporaryFile(dir=settings.WORK_DIR)  # noqa: SIM115 - the response closes it
        for_all = {run.name: records_of(run) | weights_of(run) for run in chosen}
        write_zip(out, {f"{run}/{file}": content for run, made in for_all.items() for file, content in made.items()})
        out.seek(0)
        return FileResponse(out, as_attachment=True, filename=f"{name}.zip", content_type=ZIP)

    # --- deleting -----------------------------------------------------------------------------------------------
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("training.delete_trainingrun")

    def get_deleted_objects(
        self, runs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """A run goes with all that hangs on it, or stays for the reason that is given."""
        refusals = [refusal for run in runs if (refusal := why_not_deleted(run))]
        listed = [_("%(run)s with its checkpoints, states, curves, pictures and jobs") % {"run": run} for run in runs]
        return listed, {str(TrainingRun._meta.verbose_name_plural): len(listed)}, set(), refusals

    def delete_model(self, request: HttpRequest, run: TrainingRun) -> None:
        delete_run(run)

    def delete_queryset(self, request: HttpRequest, runs: QuerySet[TrainingRun]) -> None:
        self._ask(request, runs, delete_run, _("deleted"))

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except WrongState as problem:  # it began to train, or to be used, between the question and the answer
            self.message_user(request, _("Run %(problem)s") % {"problem": problem}, messages.ERROR)
            return redirect("admin:training_trainingrun_changelist")


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["name", "family", "validation_loss", "pinned", "rank", "lora_alpha", "owner", "created_at"]
    list_filter = ["family", "pinned", "rank", "created_at"]
    search_fields = ["run__name", "blob__sha256"]
    list_select_related = ["run__owner"]

    @admin.display(description=gettext_lazy("owner"), ordering="run__owner")
    def owner(self, checkpoint: Checkpoint) -> str:
        return str(checkpoint.run.owner)


@admin.register(TrainingState)
class TrainingStateAdmin(OfRun):
    list_display = ["run", "step", "size", "created_at"]
    list_select_related = ["run", "blob"]

    @admin.display(description=gettext_lazy("size"), ordering="blob__size")
    def size(self, state: TrainingState) -> str:
        return filesizeformat(state.blob.size)


@admin.register(RunEvent)
class RunEventAdmin(OfRun):
    list_display = ["at", "run", "step", "message"]
    list_filter = ["at"]
    search_fields = ["run__name", "message"]
    ordering = ["-at", "-id"]


@admin.register(TrainingMetric)
class TrainingMetricAdmin(OfRun):
    list_display = ["run", "step", "loss", "learning_rate", "grad_norm", "seconds", "memory_bytes"]


@admin.register(ValidationLoss)
class ValidationLossAdmin(OfRun):
    list_display = ["run", "step", "loss", "photos"]


@admin.register(ValidationImage)
class ValidationImageAdmin(OfRun):
    list_display = ["run", "step", "seq", "prompt", "seed"]
    search_fields = ["run__name", "prompt"]
