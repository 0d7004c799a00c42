"""Requests for evaluations, and what one tells of itself, as JSON."""

from __future__ import annotations

from typing import Any, TypedDict

from django.urls import reverse
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from evaluation import court_words
from evaluation.reports import told
from evaluation.run_models import EvaluationRun, ImageScore, Subject, Verdict
from evaluation.services import MOST_PICTURES, Settings
from evaluation.suite import PROMPTS, SEEDS
from evaluation.targets import TARGETS
from shoesai.serializers import REQUIRED, JobSerializer, Number, StrictSerializer, Text, WholeNumber
from training.serializers import MAX_NAME, Flag, OneOf

MAX_STEP = 2**31 - 1
MAX_QUERY = 2_000
ABOUT = ("run", "images", "query")
OF_RUN = ("checkpoints", "sitting", "prompts", "seeds", "num_inference_steps", "guidance_scale")
_LIST = format_lazy(_("must be a list of 1 to {most}."), most=MOST_PICTURES)


def _id(**options: Any) -> serializers.UUIDField:
    return serializers.UUIDField(error_messages={**REQUIRED, "invalid": _("must be an id.")}, **options)


# --- reading --------------------------------------------------------------------------------------------------
class EvaluationRequestSerializer(StrictSerializer):
    run = Text(MAX_NAME, required=False, help_text="A run's name: its checkpoints are judged.")
    images = serializers.ListField(
        child=_id(),
        min_length=1,
        max_length=MOST_PICTURES,
        required=False,
        error_messages={**REQUIRED, "not_a_list": _LIST, "min_length": _LIST, "max_length": _LIST},
        help_text="Or pictures of the gallery, by id.",
    )
    query = Text(
        MAX_QUERY,
        required=False,
        allow_blank=True,
        help_text="Or all results of a search: the parameters of GET /api/images as one string.",
    )
    dataset = _id(
        required=False,
        help_text="With pictures: the version they are held against. Left out: the photos of the one run behind them.",
    )
    checkpoints = serializers.ListField(
        child=WholeNumber(0, MAX_STEP),
        max_length=100,
        default=list,
        error_messages={**REQUIRED, "not_a_list": _("must be a list."), "max_length": _("takes at most 100.")},
        help_text="Steps. Left out: all. A `sitting` takes all.",
    )
    sitting = Flag(default=False, help_text="Let the court choose among all checkpoints, and pin the best.")
    prompts = WholeNumber(1, 2000, default=PROMPTS, help_text="Of the suite; fewer where there are fewer captions.")
    seeds = WholeNumber(1, 100, default=SEEDS, help_text="Pictures of each prompt.")
    num_inference_steps = WholeNumber(1, 150, default=50)
    guidance_scale = Number(0, 30, required=False, help_text="Left out: the base model's own.")
    targets = OneOf(list(TARGETS), default="prototype", help_text="Which targets the numbers are held against.")

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        about = [name for name in ABOUT if name in data]
        if len(about) != 1:
            words = gettext("give exactly one of %(names)s.") % {"names": ", ".join(ABOUT)}
            raise serializers.ValidationError(dict.fromkeys(about or ["run"], words))
        strangers = ("dataset",) if about == ["run"] else OF_RUN
        words = gettext("does not go with %(name)s.") % {"name": about[0]}
        if wrong := {name: words for name in strangers if name in self.initial_data}:
            raise serializers.ValidationError(wrong)
        return data

    def settings(self) -> Settings:
        names = ("prompts", "seeds", "num_inference_steps", "guidance_scale", "targets")
        return Settings(**{name: self.validated_data[name] for name in names if name in self.validated_data})


# --- telling ----------------------------------------------------------------------------------------------------
class SubjectTold(TypedDict):
    position: int
    label: str
    kind: str
    scores: dict[str, Any]


class VerdictTold(TypedDict):
    checkpoint: str | None
    sentence: str
    refusals: list[str]
    second_look: str | None


class EvaluationRowSerializer(serializers.ModelSerializer):
    url = serializers.SerializerMethodField()
    state = serializers.SerializerMethodField(help_text="Of its job; `done` when that is not kept any more.")
    run = serializers.SerializerMethodField(help_text="Null for pictures that no run made.")
    owner = serializers.CharField(source="owner.username")

    class Meta:
        model = EvaluationRun
        fields: list[str] = ["id", "url", "name", "purpose", "state", "run", "owner", "created_at", "finished_at"]
        read_only_fields = fields

    def get_url(self, row: EvaluationRun) -> str:
        return reverse("api-evaluation", args=[row.pk])

    def get_state(self, row: EvaluationRun) -> str:
        return row.job.state if row.job else "done"

    def get_run(self, row: EvaluationRun) -> str | None:
        return row.run.name if row.run else None


class EvaluationListSerializer(serializers.Serializer):
    evaluations = EvaluationRowSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="Address of the next page.")


class EvaluationSerializer(EvaluationRowSerializer):
    suite = serializers.DictField(help_text="Prompts, seeds and settings, the same for every subject.")
    subjects = serializers.SerializerMethodField(help_text="In order; the bare base stands before checkpoints.")
    verdict = serializers.SerializerMethodField(help_text="The court's, in a sitting that has ended.")
    job = serializers.SerializerMethodField()
    links = serializers.SerializerMethodField()

    class Meta(EvaluationRowSerializer.Meta):
        fields: list[str] = [
            *EvaluationRowSerializer.Meta.fields, "targets", "suite", "suite_sha256", "subjects", "verdict", "problems",
            "job", "links",
        ]  # fmt: skip
        read_only_fields = fields

    def get_subjects(self, row: EvaluationRun) -> list[SubjectTold]:
        return [_subject(subject) for subject in row.subjects.all()]

    def get_verdict(self, row: EvaluationRun) -> VerdictTold | None:
        verdict = next(iter(row.verdicts.all()), None)
        return _verdict(verdict) if verdict else None

    def get_job(self, row: EvaluationRun) -> dict[str, Any] | None:
        return dict(JobSerializer(row.job).data) if row.job else None

    def get_links(self, row: EvaluationRun) -> dict[str, str]:
        return {
            "pictures": reverse("api-evaluation-pictures", args=[row.pk]),
            "report": reverse("api-evaluation-report", args=[row.pk]),
            "page": reverse("evaluation", args=[row.pk]),
        }


def _subject(subject: Subject) -> SubjectTold:
    scores = {score.metric: told(score) for score in subject.scores.all()}
    return {"position": subject.position, "label": subject.label, "kind": subject.kind, "scores": scores}


def _verdict(verdict: Verdict) -> VerdictTold:
    second = verdict.second_look.get("evaluation")
    return {
        "checkpoint": verdict.checkpoint.name if verdict.checkpoint else None,
        "sentence": court_words.sentence(verdict),
        "refusals": list(court_words.refusals(verdict)),
        "second_look": reverse("api-evaluation", args=[second]) if second else None,
    }


class JudgedPictureSerializer(serializers.Serializer):
    seq = serializers.IntegerField()
    prompt = serializers.CharField(allow_blank=True)
    clip_score = serializers.FloatField(allow_null=True)
    similarity = serializers.FloatField(allow_null=True, help_text="To the photo that it resembles most.")
    copied = serializers.BooleanField(help_text="Nearer to that photo than any other photo is.")
    checks = serializers.ListField(child=serializers.CharField(), help_text="Faults; none is a pass.")
    file_name = serializers.CharField(allow_blank=True, help_text="Of a folder's picture.")
    file = serializers.CharField(allow_null=True, help_text="Its bytes; null for a folder's.")


class JudgedPicturesSerializer(serializers.Serializer):
    pictures = JudgedPictureSerializer(many=True)


def picture_told(image: ImageScore) -> dict[str, Any]:
    subject = image.subject
    address = reverse("api-judged-picture-file", args=[subject.evaluation_id, subject.position, image.seq])
    names = ("seq", "prompt", "clip_score", "similarity", "copied", "checks", "file_name")
    return {**{name: getattr(image, name) for name in names}, "file": address if image.blob_id else None}
