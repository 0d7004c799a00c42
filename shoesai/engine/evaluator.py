"""Measures pictures: features first, a batch at a time, then every metric that these features allow.

A number says which features it is of, of how many pictures, and how sure it is; what cannot be told from so few is
marked or refused, never printed as if it could.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shoesai.engine import features, metrics
from shoesai.engine.feature_cache import FeatureCache
from shoesai.engine.features import EXTRACTORS, Broken, Extractor, ExtractorProblem, WeightsMissing
from shoesai.engine.metrics import Array, MetricProblem, Moments, Streaming
from shoesai.engine.progress import Emit, ShouldStop, check_stop
from shoesai.engine.specs import EvaluateInputs, EvaluatePicture, EvaluateSpec, SpecError

PAIRS_SHOWN: Final = 10
STANDARD: Final = ("clip", "inception")  # what "auto" takes where it is here
FEW: Final = "fewer than {fewest:,} pictures: the number depends on how many there are"


@dataclass
class Number:
    """One metric as it is told."""

    name: str
    n: int
    extractor: str
    extractor_sha256: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n_reference: int = 0
    indicative: bool = False
    reason: str = ""
    seed: int = 0
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass
class Seen:
    """What one extractor saw of a set. `rows` [n, width] are kept where a metric needs more than their moments."""

    places: list[int]
    hashes: list[str]
    rows: NDArray[np.float32]
    moments: Moments | None
    probabilities: NDArray[np.float32] | None = None


def evaluate(spec: EvaluateSpec, inputs: EvaluateInputs, emit: Emit, should_stop: ShouldStop) -> dict[str, Any]:
    """Emits `step`, and `picture` with `key`, `extractor`, and as far as there are prompts, references and training
    photos, `clip_score`, `fidelity`, `nearest` (a key of `training`), `similarity`, and `copied` where it is one.

    Returns the metrics, the extractors, and problems in words. Raises SpecError where there is nothing to measure, and
    Stopped.
    """
    if not inputs.pictures:
        raise SpecError("pictures", "must be at least one picture; the folder or selection is empty")
    problems: list[str] = []
    extractors = _extractors(spec, inputs, problems)
    work = _Work(spec, inputs, emit, should_stop, problems, extractors)
    numbers = [number for extractor in extractors for number in work.measure(extractor)]
    for key, told in work.told.items():
        emit("picture", key=key, **told)
    return {
        "metrics": [asdict(number) for number in numbers],
        "extractors": [{"name": each.name, "sha256": each.sha256, "width": each.width} for each in extractors],
        "problems": list(dict.fromkeys(problems)),
    }


def _extractors(spec: EvaluateSpec, inputs: EvaluateInputs, problems: list[str]) -> list[Extractor]:
    """The named ones; of "auto" the standard ones that are here, and the starter's CLIP where no other reads texts.

    Raises SpecError where a named one is not here, and where weights are not what they should be: another extractor in
    their place would be another number.
    """
    places = {
        "clip": (inputs.clip, inputs.clip_sha256),
        "inception": (inputs.inception, inputs.inception_sha256),
        "starter": (inputs.starter_clip, ""),
    }
    is_auto = "auto" in spec.extractors
    names = [name for name in STANDARD if places[name][0]] if is_auto else list(dict.fromkeys(spec.extractors))
    found = []
    for name in names:
        try:
            found.append(features.open_extractor(name, *places[name]))
        except WeightsMissing as problem:
            if not is_auto:
                raise SpecError("extractors", str(problem)) from problem
            problems.append(str(problem))
        except ExtractorProblem as problem:
            raise SpecError("extractors", str(problem)) from problem
    if is_auto and not any(EXTRACTORS[each.name].reads_texts for each in found):
        found.insert(0, features.open_extractor("starter", *places["starter"]))
    return found


class _Work:
    def __init__(
        self, spec: EvaluateSpec, inputs: EvaluateInputs, emit: Emit, should_stop: ShouldStop, problems: list[str],
        extractors: Sequence[Extractor],
    ) -> None:  # fmt: skip
        self._spec, self._inputs = spec, inputs
        self._emit, self._should_stop, self._problems = emit, should_stop, problems
        self._done = 0
        self._has_inception = any(each.read is None for each in extractors)
        both = len(inputs.pictures) + len(inputs.references)
        self._total = sum(both + (len(inputs.training) if each.read else 0) for each in extractors)
        self.told: dict[str, dict[str, Any]] = {picture.key: {} for picture in inputs.pictures}

    # --- looking ------------------------------------------------------------------------------------------------
    def _look(self, pictures: Sequence[EvaluatePicture], extractor: Extractor, message: str) -> Seen:
        places: list[int] = []
        hashes: list[str] = []
        rows: list[NDArray[np.float32]] = []
        probabilities: list[NDArray[np.float32]] = []
        stream = Streaming()
        cache = FeatureCache(self._inputs.cache_dir, extractor.identity)
        self._emit("step", step=self._done, total=self._total, message=message)
        for part in features.features_of([each.path for each in pictures], extractor, cache):
            check_stop(self._should_stop)
            if isinstance(part, Broken):
                self._problems.append(part.problem)
                continue
            places += part.places
            hashes += part.hashes
            self._emit("step", step=min(self._done + len(places), self._total), total=self._total, message=message)
            if extractor.read is None:  # only an Inception's features have a Fréchet distance
                stream.add(part.features["image"])
            rows.append(part.features["image"])
            if "probabilities" in part.features:
                probabilities.append(part.features["probabilities"])
        self._done += len(pictures)
        return Seen(
            places,
            hashes,
            np.concatenate(rows) if rows else np.zeros((0, extractor.width), dtype=np.float32),
            stream.moments() if extractor.read is None and len(places) > 1 else None,
            np.concatenate(probabilities) if probabilities else None,
        )

    # --- measuring ----------------------------------------------------------------------------------------------
    def measure(self, extractor: Extractor) -> list[Number]:
        seen = self._look(self._inputs.pictures, extractor, "Looking at pictures")
        if not seen.places:
            raise SpecError("pictures", "none of them can be read as a picture")
        reference = self._look(self._inputs.references, extractor, "Looking at photos")
        if extractor.read is None:
            return [*self._of_sets(extractor, seen, reference), *self._inception_score(extractor, seen)]
        learned = self._look(self._inputs.training, extractor, "Looking at photos")
        numbers = [*self._clip_score(extractor, seen), *self._diversity(extractor, seen)]
        numbers += self._fidelity(extractor, seen, reference)
        numbers += self._copy_risk(extractor, seen, learned, reference)
        return [*numbers, *self._of_sets(extractor, seen, reference)]

    def _number(self, name: str, extractor: Extractor, seen: Seen, reference: Seen | None = None) -> Number:
        return Number(
            name, len(seen.places), extractor.name, extractor.sha256, seed=self._spec.seed,
            n_reference=len(reference.places) if reference else 0,
        )  # fmt: skip

    def _mean(self, number: Number, values: Array) -> Number:
        """Of one value a picture: mean, interval, spread."""
        number.value = float(values.mean())
        if len(values) > 1:
            number.low, number.high = metrics.bootstrap_mean(values, self._spec.samples, self._spec.seed)
        number.detail |= {
            "std": float(values.std()), "min": float(values.min()), "max": float(values.max()),
        }  # fmt: skip
        return number

    def _clip_score(self, extractor: Extractor, seen: Seen) -> list[Number]:
        """Of the pictures that have a prompt."""
        asked = [row for row, place in enumerate(seen.places) if self._inputs.pictures[place].prompt]
        if not asked or extractor.read is None:
            return []
        prompts = [self._inputs.pictures[seen.places[row]].prompt for row in asked]
        different = list(dict.fromkeys(prompts))
        told = dict(zip(different, _read(extractor, different), strict=True))
        scores = metrics.clip_scores(seen.rows[asked], np.stack([told[prompt] for prompt in prompts]))
        for row, score in zip(asked, scores, strict=True):
            self._tell(extractor, seen, row, clip_score=round(max(0.0, float(score)), 4))
        number = self._number("clip_score", extractor, seen)
        number.n = len(asked)
        if len(asked) < len(seen.places):
            self._problems.append(f"{len(seen.places) - len(asked)} pictures have no prompt and no CLIP score")
        number = self._mean(number, scores)
        number.value = max(0.0, number.value or 0.0)
        return [number]

    def _diversity(self, extractor: Extractor, seen: Seen) -> list[Number]:
        number = self._number("diversity", extractor, seen)
        try:
            number.value = metrics.diversity(seen.rows)
        except MetricProblem as problem:
            number.reason = str(problem)
            return [number]
        statistic = metrics.diversity_statistic(seen.rows)
        number.low, number.high = metrics.bootstrap(len(seen.rows), statistic, self._spec.samples, self._spec.seed)
        return [number]

    def _fidelity(self, extractor: Extractor, seen: Seen, reference: Seen) -> list[Number]:
        if not reference.places:
            return []
        number = self._number("fidelity", extractor, seen, reference)
        scores = metrics.fidelity(seen.rows, reference.rows)
        for row, score in enumerate(scores):
            self._tell(extractor, seen, row, fidelity=round(float(score), 5))
        return [self._mean(number, scores)]

    def _copy_risk(self, extractor: Extractor, seen: Seen, learned: Seen, reference: Seen) -> list[Number]:
        if not learned.places:
            return []
        number = self._number("copy_risk", extractor, seen, learned)
        places, similarity = metrics.nearest(seen.rows, learned.rows)
        keys = [self._inputs.training[place].key for place in learned.places]
        for row, (place, cosine) in enumerate(zip(places, similarity, strict=True)):
            self._tell(extractor, seen, row, nearest=keys[place], similarity=round(float(cosine), 5))
        try:
            usual = metrics.usual_nearness(learned.rows, reference.rows)
        except MetricProblem as problem:
            number.reason = str(problem)
            return [number]
        bound = metrics.copy_bound(usual)
        copies = similarity > bound
        for row in np.flatnonzero(copies).tolist():
            self._tell(extractor, seen, row, copied=True)
        most = np.argsort(-similarity, kind="stable")[:PAIRS_SHOWN].tolist()
        number.detail |= {
            "bound": bound,
            "usual": {"n": len(usual), "median": float(np.median(usual)) if len(usual) else None},
            "nearer_than_usual": metrics.nearer_than_usual(similarity, usual) if len(usual) else None,
            "pairs": [
                {"key": self._key(seen, row), "nearest": keys[places[row]], "similarity": float(similarity[row])}
                for row in most
            ],
        }
        return [self._mean(number, copies.astype(np.float64))]

    def _key(self, seen: Seen, row: int) -> str:
        return self._inputs.pictures[seen.places[row]].key

    def _tell(self, extractor: Extractor, seen: Seen, row: int, **values: Any) -> None:
        """Of the first extractor that was asked for: one picture's numbers are not mixed of two."""
        told = self.told[self._key(seen, row)]
        if told.setdefault("extractor", extractor.name) == extractor.name:
            told |= values

    def _of_sets(self, extractor: Extractor, seen: Seen, reference: Seen) -> list[Number]:
        """FID and KID; of a CLIP's features KID alone, and only where there is no Inception: an FID of other features
        invites comparison."""
        if not reference.places or (extractor.read and self._has_inception):
            return []
        self._warn_of_the_same(seen, reference)
        numbers = [self._kid(extractor, seen, reference)]
        if extractor.name == "inception":
            numbers.append(self._fid(extractor, seen, reference))
        return numbers

    def _warn_of_the_same(self, seen: Seen, reference: Seen) -> None:
        real = set(reference.hashes)
        same = sum(sha256 in real for sha256 in seen.hashes)
        if same == len(seen.hashes):
            self._problems.append("generated and real pictures are the same: distances between them say nothing")
        elif same:
            self._problems.append(f"{same} of the {len(seen.hashes)} generated pictures are files of the real photos")

    def _fid(self, extractor: Extractor, seen: Seen, reference: Seen) -> Number:
        number = self._number("fid", extractor, seen, reference)
        if seen.moments is None or reference.moments is None:
            number.reason = "one picture has no distribution"
            return number
        number.value = metrics.frechet_distance(seen.moments, reference.moments)
        if interval := metrics.frechet_interval(seen.rows, reference.rows, number.value, self._spec.seed):
            number.low, number.high = interval
        fewest = min(len(seen.places), len(reference.places))
        if fewest < metrics.FID_FEWEST:
            number.indicative, number.reason = True, FEW.format(fewest=metrics.FID_FEWEST)
        return number

    def _kid(self, extractor: Extractor, seen: Seen, reference: Seen) -> Number:
        number = self._number("kid", extractor, seen, reference)
        try:
            number.value, number.low, number.high = metrics.kid(seen.rows, reference.rows, self._spec.seed)
        except MetricProblem as problem:
            number.reason = str(problem)
        return number

    def _inception_score(self, extractor: Extractor, seen: Seen) -> list[Number]:
        if seen.probabilities is None:
            return []
        number = self._number("inception_score", extractor, seen)
        try:
            number.value, deviation = metrics.inception_score(seen.probabilities, seed=self._spec.seed)
        except MetricProblem as problem:
            number.reason = str(problem)
            return [number]
        number.detail["std"] = deviation
        number.low, number.high = metrics.inception_interval(seen.probabilities, number.value, seed=self._spec.seed)
        if len(seen.places) < metrics.FID_FEWEST:
            number.indicative, number.reason = True, FEW.format(fewest=metrics.FID_FEWEST)
        return [number]


def _read(extractor: Extractor, texts: Sequence[str]) -> Array:
    assert extractor.read
    parts = [extractor.read(list(texts[begin : begin + 64])) for begin in range(0, len(texts), 64)]
    return np.concatenate(parts).astype(np.float64)
