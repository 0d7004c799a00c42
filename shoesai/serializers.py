"""Strict JSON in, jobs out. Nothing is coerced: a bool or a string is no number."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, cast
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from shoesai.jobs import queue
from shoesai.models import Job
from shoesai.numbers import grouped, grouped_lazily
from shoesai.problems import Problem

MAX_DIGITS = 40
REQUIRED: dict[str, Any] = {
    "required": _("is required."),
    "null": _("must not be null; leave it out for its default."),
}


# --- reading ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class NoNumber:
    """Stands where the body said NaN, 1e999 or a thousand digits, so that the field can be named."""

    text: str


class StrictJSONParser(BaseParser):
    """UTF-8 JSON of bounded size. What is no number reaches its field as NoNumber, which all refuse."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        body = self.read(stream, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        try:
            return json.loads(
                body.decode("utf-8-sig"), parse_constant=NoNumber, parse_float=_float, parse_int=_int,
                object_pairs_hook=_object,
            )  # fmt: skip
        except UnicodeDecodeError:
            raise ParseError(gettext("The body is not UTF-8.")) from None
        except RecursionError:
            raise ParseError(gettext("The body is nested too deeply.")) from None
        except ValueError as error:
            raise ParseError(gettext("The body is not JSON: %(problem)s") % {"problem": error}) from None

    def read(self, stream: Any, limit: int) -> bytes:
        body: bytes = stream.read(limit + 1)
        if len(body) > limit:
            words = gettext("The body may have at most %(limit)s bytes.")
            raise Problem(413, "body-too-large", words % {"limit": grouped(limit)})
        return body


def _float(text: str) -> float | NoNumber:
    return float(text) if math.isfinite(float(text)) else NoNumber(text[:MAX_DIGITS])


def _int(text: str) -> int | NoNumber:
    return int(text) if len(text) <= MAX_DIGITS else NoNumber(text[:MAX_DIGITS])


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _value in pairs]
        twice = sorted({readable(name) for name in names if names.count(name) > 1})
        raise ValueError(gettext("%(names)s given twice.") % {"names": ", ".join(twice[:5])})
    return found


def readable(name: str) -> str:
    """Somebody else's text inside our message: short, and text."""
    return name[:80].encode("utf-8", "backslashreplace").decode()


class StrictSerializer(serializers.Serializer):
    default_error_messages: dict[str, Any] = {**REQUIRED, "invalid": _("must be a JSON object.")}  # type: ignore[misc]

    def to_internal_value(self, data: Any) -> Any:
        errors: dict[str, Any] = {}
        if isinstance(data, Mapping):
            names = {"names": ", ".join(self.fields)}
            refusal = gettext("is not a field of this request; allowed are %(names)s.") % names
            unknown = [name for name in data if name not in self.fields][:20]
            errors = {readable(name): [refusal] for name in unknown}
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError({**cast(dict[str, Any], error.detail), **errors}) from None
        if errors:
            raise serializers.ValidationError(errors)
        return values


class WholeNumber(serializers.IntegerField):
    def __init__(self, low: int, high: int, *, step: int = 1, **options: Any) -> None:
        self.step = step
        words = _("must be a whole number between {low} and {high}.")
        if step > 1:
            words = _("must be a multiple of {step} between {low} and {high}.")
        text = format_lazy(words, step=step, low=low, high=high)
        messages: dict[str, Any] = {**REQUIRED, "invalid": text, "min_value": text, "max_value": text}
        super().__init__(min_value=low, max_value=high, error_messages=messages, **options)

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int or data % self.step:
            self.fail("invalid")
        return data


class Number(serializers.FloatField):
    def __init__(self, low: float, high: float, **options: Any) -> None:
        text = format_lazy(_("must be a number between {low} and {high}."), low=low, high=high)
        messages: dict[str, Any] = {**REQUIRED, "invalid": text, "min_value": text, "max_value": text}
        super().__init__(min_value=low, max_value=high, error_messages=messages, **options)

    def to_internal_value(self, data: Any) -> float:
        if type(data) not in (int, float) or not math.isfinite(data):
            self.fail("invalid")
        return float(data)


class Text(serializers.CharField):
    def __init__(self, max_length: int, *, blank: str | Promise = "", **options: Any) -> None:
        most = grouped_lazily(max_length)
        messages: dict[str, Any] = {
            **REQUIRED,
            "invalid": format_lazy(_("must be a string of at most {most} characters."), most=most),
            "no_text": _("contains characters that are not text (NUL or half a surrogate pair)."),
            "max_length": format_lazy(_("must have at most {most} characters."), most=most),
            "blank": blank or _("must not be empty."),
        }
        super().__init__(max_length=max_length, trim_whitespace=False, error_messages=messages, **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        if "\x00" in data or any("\ud800" <= character <= "\udfff" for character in data):
            self.fail("no_text")
        return data

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if isinstance(data, str) and not data.strip() and not self.allow_blank:
            self.fail("blank")
        return super().run_validation(data)


# --- answering ----------------------------------------------------------------------------------------------
class Progress(TypedDict):
    step: int
    total: int
    message: str
    percent: int


class JobError(TypedDict):
    code: str
    text: str


class JobImage(TypedDict):
    id: UUID
    seq: int
    seed: int
    url: str


def image_url(image_id: UUID) -> str:
    return reverse("api-image-file", args=[image_id])


class JobSerializer(serializers.ModelSerializer):
    url = serializers.SerializerMethodField()
    progress = serializers.SerializerMethodField()
    position = serializers.SerializerMethodField(help_text="How many jobs go before it while it is queued.")
    error = serializers.SerializerMethodField(help_text="Why a failed job failed.")
    images = serializers.SerializerMethodField(help_text="The pictures made so far, when it makes pictures.")

    class Meta:
        model = Job
        fields = [
            "id", "url", "kind", "state", "progress", "position", "attempts", "cancel_requested", "error",
            "images", "created_at", "started_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_url(self, job: Job) -> str:
        return reverse("api-job", args=[job.pk])

    def get_progress(self, job: Job) -> Progress:
        return {
            "step": job.progress_step,
            "total": job.progress_total,
            "message": job.progress_message,
            "percent": job.percent,
        }

    def get_position(self, job: Job) -> int:
        return queue.position(job)

    def get_error(self, job: Job) -> JobError | None:
        return {"code": job.error_code, "text": job.error_text} if job.error_code else None

    def get_images(self, job: Job) -> list[JobImage]:
        generation = getattr(job, "generation", None)
        made = [image for image in generation.images.all() if not image.mending] if generation else []
        images = sorted(made, key=lambda image: image.seq)
        return [
            {"id": image.id, "seq": image.seq, "seed": image.seed_number, "url": image_url(image.id)}
            for image in images
        ]
