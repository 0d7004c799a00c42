"""A report as pages show it: bars with intervals for each metric across its subjects, and pictures, worst and best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from evaluation import court_words, gallery_pictures
from evaluation.metrics import CLIP, METRICS, Band, Metric
from evaluation.run_models import EvaluationRun, ImageScore, Score, Subject, Verdict
from evaluation.targets import Judged, Outcome, judged
from training.models import Photo

GOOD, FAIR, POOR = "good", "fair", "poor"
GREEN, YELLOW = 30, 25  # of the standard CLIP score, as the seed's grid frames them
SHOWN: Final = 12

VERDICTS: Final[dict[Outcome, str | Promise]] = {
    Outcome.REACHED: _("reached"),
    Outcome.ACCEPTABLE: _("acceptable"),
    Outcome.MISSED: _("missed"),
    Outcome.NOT_APPLICABLE: _("not applicable: needs %(weights)s"),
    Outcome.TOO_FEW: _("undecided: too few pictures"),
    Outcome.NOT_MEASURED: _("not measured"),
}
WEIGHTS: Final = {"clip": "CLIP ViT-B/32", "inception": "Inception-v3"}


@dataclass(frozen=True)
class Bar:
    """Places in per cents of the metric's own scale, as text: a template would write 0.5 as "0,5"."""

    subject: Subject
    score: Score
    digits: int
    at: str
    low: str
    high: str
    band: Band | None

    @property
    def width(self) -> str:
        return f"{float(self.high) - float(self.low):.2f}"


@dataclass(frozen=True)
class Chart:
    """Of one metric by one extractor; scores of different extractors never stand on one scale."""

    name: str
    metric: Metric
    extractor: str
    bars: list[Bar]


def charts_of(subjects: Sequence[Subject]) -> list[Chart]:
    charts = []
    for name, metric in METRICS.items():
        by_extractor: dict[str, list[tuple[Subject, Score]]] = {}
        for subject in subjects:
            score = subject.score(name)
            if score is not None and score.value is not None:
                by_extractor.setdefault(score.extractor, []).append((subject, score))
        charts += [Chart(name, metric, extractor, _bars(metric, rows)) for extractor, rows in by_extractor.items()]
    return charts


def _bars(metric: Metric, rows: Sequence[tuple[Subject, Score]]) -> list[Bar]:
    values = [value for _subject, score in rows for value in (score.value, score.low, score.high) if value is not None]
    first, last = min(values), max(values)
    span = (last - first) or abs(last) or 1.0
    first, span = first - 0.05 * span, 1.1 * span

    def place(value: float) -> str:
        return f"{100 * (value - first) / span:.2f}"

    return [
        Bar(
            subject,
            score,
            metric.digits,
            at=place(value),
            low=place(value if score.low is None else score.low),
            high=place(value if score.high is None else score.high),
            band=metric.band(value, score.extractor),
        )
        for subject, score in rows
        if (value := score.value) is not None
    ]


# --- targets ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class TargetRow:
    metric: Metric
    judged: Judged
    words: str


def target_rows(evaluation: EvaluationRun, subject: Subject) -> list[TargetRow]:
    rows = judged(evaluation.targets, subject.scores.all())
    return [TargetRow(METRICS[row.target.metric], row, verdict_words(row)) for row in rows]


def verdict_words(row: Judged) -> str:
    words = str(VERDICTS[row.verdict])
    if row.verdict == Outcome.NOT_APPLICABLE:
        return words % {"weights": WEIGHTS[METRICS[row.target.metric].standard]}
    return words


# --- pictures -----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Framed:
    """`frame` is a colour by the standard CLIP score, by the photo checks where other features were used."""

    image: ImageScore
    frame: str
    photo: Photo | None = None


def pictures_of(
    subject: Subject, images: Iterable[ImageScore], photos: Mapping[str | None, Photo] | None = None
) -> dict[str, list[Framed]]:
    """The worst and the best by CLIP score; all where there are few. `photos`: by blob, those that may be copied."""
    score = subject.score("clip_score")
    is_standard = score is not None and score.extractor == CLIP
    rows = sorted(images, key=lambda image: (image.clip_score is None, image.clip_score or 0.0, image.seq))
    framed = [Framed(image, frame_of(image, is_standard), (photos or {}).get(image.nearest_id)) for image in rows]
    if len(framed) <= 2 * SHOWN:
        return {"all": framed}
    return {"worst": framed[:SHOWN], "best": framed[::-1][:SHOWN]}


def frame_of(image: ImageScore, is_standard: bool) -> str:
    if not is_standard or image.clip_score is None:
        return GOOD if image.passes else POOR
    if image.clip_score > GREEN:
        return GOOD
    return FAIR if image.clip_score > YELLOW else POOR


def context_of(evaluation: EvaluationRun) -> dict[str, Any]:
    rows = evaluation.subjects.select_related("checkpoint__run", "base_model")
    subjects = list(rows.prefetch_related("scores", "image_scores"))
    if evaluation.purpose == EvaluationRun.Purpose.PICTURES:
        veil_of(evaluation, subjects)
    photos = _photos_of(evaluation, subjects)
    verdict = Verdict.objects.filter(evaluation=evaluation).select_related("run").first()
    return {
        "evaluation": evaluation,
        "verdict": court_words.sentence(verdict) if verdict else "",
        "refusals": list(court_words.refusals(verdict)) if verdict else [],
        "second_look": court_words.second_look(verdict) if verdict else None,
        "subjects": subjects,
        "charts": charts_of(subjects),
        "targets": [(subject, target_rows(evaluation, subject)) for subject in subjects],
        "pictures": [(subject, pictures_of(subject, subject.image_scores.all(), photos)) for subject in subjects],
    }


def veil_of(evaluation: EvaluationRun, subjects: Sequence[Subject]) -> None:
    """A file shows no more than the page: what its owner may not see any more is left out of both."""
    for subject in subjects:
        if subject.kind == Subject.Kind.PICTURES:
            gallery_pictures.veil(evaluation, subject.image_scores.all())


def _photos_of(evaluation: EvaluationRun, subjects: Sequence[Subject]) -> dict[str | None, Photo]:
    """Those that a picture is said to copy, in the run's own version."""
    blobs = {image.nearest_id for subject in subjects for image in subject.image_scores.all() if image.copied}
    found = Photo.objects.filter(version=evaluation.dataset_version, blob__in=[blob for blob in blobs if blob])
    return {photo.blob_id: photo for photo in found.select_related("version")}
