"""Measures pictures: features first, a batch at a time, then every metric that these features allow.

A number says which features it is of, of how many pictures, and how sure it is; what cannot be told from so few is
marked or refused, never printed as if it could.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shoesai.engine import features, metrics
from shoesai.engine.features import Broken, Extractor, ExtractorProblem, FeatureCache
from shoesai.engine.metrics import Array, MetricProblem, Moments, Streaming
from shoesai.engine.progress import Emit, ShouldStop, check_stop
from shoesai.engine.specs import EvaluateInputs, EvaluatePicture, EvaluateSpec, SpecError

SET_SAMPLES: Final = 200  # resamples of a number that is of a whole set
SAME: Final = 1 - 1e-6
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
    rows: NDArray[np.float32]
    moments: Moments | None
    probabilities: Array | None = None


def evaluate(spec: EvaluateSpec, inputs: EvaluateInputs, emit: Emit, should_stop: ShouldStop) -> dict[str, Any]:
    """Emits `step`, and `picture` with `key`, `clip_score`, `nearest` (a key of `training`) and `similarity`.

    Returns the metrics, the extractors, and problems in words. Raises SpecError where there is nothing to measure, and
    Stopped.
    """
    if not inputs.pictures:
        raise SpecError("pictures", "must be at least one picture; the folder or selection is empty")
    problems: list[str] = []
    extractors = _extractors(spec, inputs, problems)
    work = _Work(spec, inputs, emit, should_stop, problems, len(extractors))
    numbers = [number for extractor in extractors for number in work.measure(extractor)]
    for key, told in work.told.items():
        emit("picture", key=key, **told)
    return {
        "metrics": [asdict(number) for number in numbers],
        "extractors": [{"name": each.name, "sha256": each.sha256} for each in extractors],
        "problems": list(dict.fromkeys(problems)),
    }


def _extractors(spec: EvaluateSpec, inputs: EvaluateInputs, problems: list[str]) -> list[Extractor]:
    """A CLIP and an Inception, or what is here of them. Raises SpecError where a named one is not."""
    open_with: dict[str, Callable[[], Extractor]] = {
        "clip": lambda: features.clip("clip", inputs.clip, inputs.clip_sha256),
        "inception": lambda: features.inception(inputs.inception, inputs.inception_sha256),
        "starter": lambda: features.clip("starter", inputs.starter_clip),
    }
    if spec.extractors != ("auto",):
        try:
            return [open_with[name]() for name in spec.extractors if name != "auto"]
        except ExtractorProblem as problem:
            raise SpecError("extractors", str(problem)) from problem
    found = []
    for name, source in (("clip", inputs.clip), ("inception", inputs.inception)):
        if source:
            try:
                found.append(open_with[name]())
            except ExtractorProblem as problem:
                problems.append(str(problem))
    if not any(each.read for each in found):
        found.insert(0, open_with["starter"]())
    return found


class _Work:
    def __init__(
        self, spec: EvaluateSpec, inputs: EvaluateInputs, emit: Emit, should_stop: ShouldStop, problems: list[str],
        passes: int,
    ) -> None:  # fmt: skip
        self._spec, self._inputs = spec, inputs
        self._emit, self._should_stop, self._problems = emit, should_stop, problems
        self._done = 0
        self._total = passes * (len(inputs.pictures) + len(inputs.references) + len(inputs.training))
        self.told: dict[str, dict[str, Any]] = {picture.key: {} for picture in inputs.pictures}

    # --- looking ------------------------------------------------------------------------------------------------
    def _look(self, pictures: Sequence[EvaluatePicture], extractor: Extractor, message: str) -> Seen:
        places: list[int] = []
        rows: list[NDArray[np.float32]] = []
        probabilities: list[Array] = []
        stream = Streaming()
        cache = FeatureCache(self._inputs.cache_dir, extractor)
        for part in features.features_of([each.path for each in pictures], extractor, cache):
            check_stop(self._should_stop)
            if isinstance(part, Broken):
                self._problems.append(part.problem)
                continue
            found, told = part
            places += found
            self._emit("step", step=min(self._done + len(places), self._total), total=self._total, message=message)
            stream.add(told["image"])
            rows.append(told["image"])
            if "probabilities" in told:
                probabilities.append(told["probabilities"].astype(np.float64))
        self._done += len(pictures)
        return Seen(
            places,
            np.concatenate(rows) if rows else np.zeros((0, 1), dtype=np.float32),
            stream.moments() if len(places) > 1 else None,
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
        if extractor.name == "starter":
            numbers += self._of_sets(extractor, seen, reference)
        return numbers

    def _number(self, name: str, extractor: Extractor, seen: Seen, reference: Seen | None = None) -> Number:
        return Number(
            name, len(seen.places), extractor.name, extractor.sha256, seed=self._spec.seed,
            n_reference=len(reference.places) if reference else 0,
        )  # fmt: skip

    def _mean(self, number: Number, values: Array) -> Number:
        """Of one value a picture: mean, interval, spread."""
        number.value = float(values.mean())
        if len(values) > 1:
            resampled = self._interval(len(values), lambda places: float(values[places].mean()))
            number.low, number.high = resampled
        number.detail |= {
            "std": float(values.std()), "min": float(values.min()), "max": float(values.max()),
        }  # fmt: skip
        return number

    def _interval(self, rows: int, statistic: Callable[[Any], float], samples: int = 0) -> tuple[float, float]:
        return metrics.bootstrap(rows, statistic, samples or self._spec.samples, self._spec.seed)

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
            self.told[self._inputs.pictures[seen.places[row]].key]["clip_score"] = round(max(0.0, float(score)), 4)
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
        number.low, number.high = _pairs_interval(seen.rows, self._interval)
        return [number]

    def _fidelity(self, extractor: Extractor, seen: Seen, reference: Seen) -> list[Number]:
        if not reference.places:
            return []
        number = self._number("fidelity", extractor, seen, reference)
        return [self._mean(number, metrics.fidelity(seen.rows, reference.rows))]

    def _copy_risk(self, extractor: Extractor, seen: Seen, learned: Seen, reference: Seen) -> list[Number]:
        if not learned.places:
            return []
        number = self._number("copy_risk", extractor, seen, learned)
        places, similarity = metrics.nearest(seen.rows, learned.rows)
        keys = [self._inputs.training[place].key for place in learned.places]
        for row, (place, cosine) in enumerate(zip(places, similarity, strict=True)):
            self.told[self._inputs.pictures[seen.places[row]].key] |= {
                "nearest": keys[place], "similarity": round(float(cosine), 5),
            }  # fmt: skip
        try:
            copies = metrics.copied(similarity, learned.rows, reference.rows if reference.places else None)
        except MetricProblem as problem:
            number.reason = str(problem)
            return [number]
        for row in np.flatnonzero(copies).tolist():
            self.told[self._inputs.pictures[seen.places[row]].key]["copied"] = True
        return [self._mean(number, copies.astype(np.float64))]

    def _of_sets(self, extractor: Extractor, seen: Seen, reference: Seen) -> list[Number]:
        """FID and KID; with the starter's features KID alone, as an FID of other features invites comparison."""
        if not reference.places:
            return []
        if len(seen.rows) == len(reference.rows) and np.allclose(seen.rows, reference.rows, atol=1e-6):
            self._problems.append("generated and real pictures are the same: distances between them say nothing")
        numbers = [self._kid(extractor, seen, reference)]
        if extractor.name == "inception":
            numbers.append(self._fid(extractor, seen, reference))
        return numbers

    def _fid(self, extractor: Extractor, seen: Seen, reference: Seen) -> Number:
        number = self._number("fid", extractor, seen, reference)
        if seen.moments is None or reference.moments is None:
            number.reason = "one picture has no distribution"
            return number
        number.value = metrics.frechet_distance(seen.moments, reference.moments)
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
        if len(seen.places) < metrics.FID_FEWEST:
            number.indicative, number.reason = True, FEW.format(fewest=metrics.FID_FEWEST)
        return [number]


def _read(extractor: Extractor, texts: Sequence[str]) -> Array:
    assert extractor.read
    parts = [extractor.read(list(texts[begin : begin + 64])) for begin in range(0, len(texts), 64)]
    return np.concatenate(parts).astype(np.float64)


def _pairs_interval(rows: NDArray[np.float32], interval: Callable[..., tuple[float, float]]) -> tuple[float, float]:
    """A picture that is drawn twice makes pairs with itself, which are left out: else diversity would seem smaller."""
    units = metrics.unit(metrics.checked(rows))

    def statistic(places: Any) -> float:
        counts = np.bincount(places, minlength=len(units)).astype(np.float64)
        total = counts @ units
        own = float((counts**2).sum())
        pairs = counts.sum() ** 2 - own
        return float(1 - (total @ total - own) / pairs) if pairs else 0.0

    low, high = interval(len(units), statistic, SET_SAMPLES)
    return low, high
