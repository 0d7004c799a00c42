"""Datasets, their versions and photos as JSON, and what a program may ask of them."""

from __future__ import annotations

from typing import Any, TypedDict

from django.urls import reverse
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from shoesai.models import Team
from shoesai.serializers import REQUIRED, JobSerializer, Number, StrictSerializer, Text, WholeNumber
from training.datasets.captions import CaptionProblem, clean_caption
from training.datasets.captions_json import MAX_CAPTION
from training.datasets.importing import MAX_NAME
from training.datasets.models import Dataset, DatasetImport, DatasetVersion, Photo
from training.serializers import Flag

MAX_NOTE = 5_000
MAX_EDITS = 500
MAX_VERSION = 2**31 - 1
PROBLEMS_TOLD = 200


# --- reading ------------------------------------------------------------------------------------------------
class DatasetRequestSerializer(StrictSerializer):
    """A new dataset, or what changes of it (partial). Its owner is in the context, as `user`."""

    name = Text(MAX_NAME, help_text="Printable characters; you have no other dataset of this name.")
    description = Text(MAX_NOTE, required=False, allow_blank=True)
    trigger_words = Text(
        MAX_NAME, required=False, allow_blank=True,
        help_text="Stand at the beginning of every caption that a template writes.",
    )  # fmt: skip
    synthetic_cap = Number(0, 1, required=False, help_text="How much of a version may be generated. Left out: 0.5.")
    team = Text(
        MAX_NAME, required=False, allow_null=True,
        help_text="The name of one of your teams, whose members then work on it, too; null: only you.",
    )  # fmt: skip

    def validate_trigger_words(self, words: str) -> str:
        return " ".join(words.split())

    def validate_team(self, name: str | None) -> Team | None:
        if name is None:
            return None
        team = Team.objects.filter(members=self.context["user"], name=name).first()
        if team is None:
            raise serializers.ValidationError(_("is none of your teams."))
        return team


class PhotoEditSerializer(StrictSerializer):
    id = serializers.UUIDField(error_messages={**REQUIRED, "invalid": gettext_lazy("must be the id of a photo.")})
    caption = Text(MAX_CAPTION, required=False, allow_blank=True, help_text="Is kept in one line.")
    held_out = Flag(required=False, help_text="Measured on and never learned from; photos only.")
    removed = Flag(required=False, help_text="Taken out; it goes for good when the draft is frozen.")

    def validate_caption(self, text: str) -> str:
        try:
            return clean_caption(text)
        except CaptionProblem as problem:
            raise serializers.ValidationError(str(problem)) from None

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) == 1:
            raise serializers.ValidationError(_("must say `caption`, `held_out` or `removed`."))
        return attrs


class PhotoEditsSerializer(StrictSerializer):
    photos = serializers.ListField(
        child=PhotoEditSerializer(), min_length=1, max_length=MAX_EDITS,
        error_messages={
            **REQUIRED, "not_a_list": gettext_lazy("must be a list."), "empty": gettext_lazy("must not be empty."),
            "min_length": gettext_lazy("must not be empty."),
            "max_length": format_lazy(gettext_lazy("takes at most {most}."), most=MAX_EDITS),
        },
    )  # fmt: skip


class CheckRequestSerializer(StrictSerializer):
    version = WholeNumber(1, MAX_VERSION, required=False, help_text="Left out: the draft, else the newest version.")


class FreezeRequestSerializer(StrictSerializer):
    licence_note = Text(
        MAX_NOTE, required=False, allow_blank=True,
        help_text="Whose photos these are, and what may be done with them. Left out: what the draft has.",
    )  # fmt: skip


# --- answering ----------------------------------------------------------------------------------------------
class VersionOfDataset(TypedDict):
    number: int
    url: str
    photo_count: int


def _version_of(version: DatasetVersion | None) -> VersionOfDataset | None:
    if version is None:
        return None
    url = reverse("api-dataset-version", args=[version.dataset_id, version.number])
    return {"number": version.number, "url": url, "photo_count": version.photo_count}


class DatasetLinks(TypedDict):
    versions: str
    page: str


class DatasetRowSerializer(serializers.ModelSerializer):
    """For rows with `newest_first`, their versions."""

    url = serializers.SerializerMethodField()
    owner = serializers.CharField(source="owner.username")
    team = serializers.CharField(source="team.name", default=None, allow_null=True, help_text="Null: only its owner.")
    draft = serializers.SerializerMethodField(help_text="What is being edited; null when nobody has begun.")
    latest = serializers.SerializerMethodField(help_text="The newest version that can be trained on.")
    links = serializers.SerializerMethodField()

    class Meta:
        model = Dataset
        fields: list[str] = [
            "id", "url", "name", "description", "trigger_words", "synthetic_cap", "owner", "team", "draft", "latest",
            "created_at", "links",
        ]  # fmt: skip
        read_only_fields = fields

    def get_url(self, dataset: Dataset) -> str:
        return reverse("api-dataset", args=[dataset.pk])

    def get_draft(self, dataset: Dataset) -> VersionOfDataset | None:
        versions: list[DatasetVersion] = dataset.newest_first  # type: ignore[attr-defined]
        return _version_of(next((version for version in versions if version.is_draft), None))

    def get_latest(self, dataset: Dataset) -> VersionOfDataset | None:
        versions: list[DatasetVersion] = dataset.newest_first  # type: ignore[attr-defined]
        return _version_of(next((version for version in versions if not version.is_draft), None))

    def get_links(self, dataset: Dataset) -> DatasetLinks:
        versions = reverse("api-dataset-versions", args=[dataset.pk])
        return {"versions": versions, "page": reverse("dataset", args=[dataset.pk])}


class DatasetListSerializer(serializers.Serializer):
    datasets = DatasetRowSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="Where the next page is; null on the last one.")


class ImportProblem(TypedDict):
    file: str
    problem: str


class ImportSerializer(serializers.ModelSerializer):
    state = serializers.CharField(source="job.state", default=None, allow_null=True, help_text="Of its job.")
    images = serializers.SerializerMethodField(help_text="How many photos came in; null until it is done.")
    problems = serializers.SerializerMethodField(help_text="Files that could not be used, and why; 200 at most.")

    class Meta:
        model = DatasetImport
        fields = ["id", "source", "job", "state", "images", "problems", "created_at"]
        read_only_fields = fields

    def get_images(self, row: DatasetImport) -> int | None:
        return row.report.get("images")

    def get_problems(self, row: DatasetImport) -> list[ImportProblem]:
        problems: list[ImportProblem] = row.report.get("problems", [])
        return problems[:PROBLEMS_TOLD]


class DatasetSerializer(DatasetRowSerializer):
    imports = serializers.SerializerMethodField(help_text="The newest three.")

    class Meta(DatasetRowSerializer.Meta):
        fields = [*DatasetRowSerializer.Meta.fields, "imports"]
        read_only_fields = fields

    @extend_schema_field(ImportSerializer(many=True))
    def get_imports(self, dataset: Dataset) -> Any:
        rows = dataset.imports.filter(job__isnull=False).select_related("job")[:3]
        return ImportSerializer(rows, many=True).data


class VersionLinks(TypedDict):
    photos: str
    findings: str
    export: str


class VersionSerializer(serializers.ModelSerializer):
    """For rows of `counted_versions`."""

    url = serializers.SerializerMethodField()
    draft = serializers.BooleanField(source="is_draft", help_text="It can be changed and has no hash yet.")
    content_hash = serializers.CharField(help_text="Of pictures, captions, split and licence note; a draft has none.")
    photo_count = serializers.IntegerField(help_text="Without what is taken out.")
    held_out = serializers.IntegerField(help_text="How many photos are measured on.")
    synthetic_share = serializers.SerializerMethodField(
        help_text="How much of what is learned from was generated, 0 to 1."
    )
    links = serializers.SerializerMethodField()

    class Meta:
        model = DatasetVersion
        fields = [
            "id", "url", "number", "draft", "content_hash", "photo_count", "held_out", "synthetic_share",
            "licence_note", "created_at", "frozen_at", "checked_at", "links",
        ]  # fmt: skip
        read_only_fields = fields

    def get_url(self, version: DatasetVersion) -> str:
        return reverse("api-dataset-version", args=[version.dataset_id, version.number])

    def get_synthetic_share(self, version: DatasetVersion) -> float:
        learned: int = version.learned  # type: ignore[attr-defined]
        return version.generated / learned if learned else 0.0  # type: ignore[attr-defined]

    def get_links(self, version: DatasetVersion) -> VersionLinks:
        where = [version.dataset_id, version.number]
        return {
            "photos": reverse("api-dataset-photos", args=where),
            "findings": reverse("api-dataset-findings", args=where),
            "export": reverse("api-dataset-export", args=where),
        }


class VersionListSerializer(serializers.Serializer):
    versions = VersionSerializer(many=True)
    next = serializers.CharField(allow_null=True, help_text="Where the next page is; null on the last one.")


class PhotoSerializer(serializers.ModelSerializer):
    parent = serializers.CharField(  # type: ignore[assignment]  # a field of DRF's own name, which it allows
        source="parent_id", allow_null=True, help_text="The SHA-256 of the picture that it was made from."
    )
    depth = serializers.IntegerField(help_text="How often a model stands between it and a camera.")
    sha256 = serializers.CharField(source="blob_id")
    file = serializers.SerializerMethodField(help_text="The PNG.")

    class Meta:
        model = Photo
        fields = [
            "id", "position", "file_name", "caption", "proposal", "held_out", "removed", "origin", "depth", "parent",
            "recipe", "extra", "width", "height", "sha256", "file",
        ]  # fmt: skip
        read_only_fields = fields

    def get_file(self, photo: Photo) -> str:
        return reverse("api-photo-file", args=[photo.pk])


class PhotoListSerializer(serializers.Serializer):
    photos = PhotoSerializer(many=True)
    total = serializers.IntegerField(help_text="How many match in all.")
    next = serializers.CharField(allow_null=True, help_text="Where the next page is; null on the last one.")


class EditedSerializer(serializers.Serializer):
    changed = serializers.IntegerField(help_text="How many photos are not as they were.")
    version = VersionSerializer()


class FindingsSerializer(serializers.Serializer):
    """As `manage.py check_dataset --json` prints it."""

    dataset = serializers.CharField()
    version = serializers.IntegerField()
    photos = serializers.IntegerField()
    checked_at = serializers.DateTimeField(allow_null=True, help_text="When all of it was looked at; null: never.")
    open = serializers.IntegerField(help_text="How many findings nobody has accepted.")
    findings = serializers.DictField(
        child=serializers.ListField(child=serializers.DictField()),
        help_text="Kind → each finding: `file` (null: about the whole), `accepted`, and what is known of it.",
    )


class StartedJobSerializer(serializers.Serializer):
    job = JobSerializer()
