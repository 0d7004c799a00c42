"""Metrics as pure functions on features; where features come from is `features.py`'s business.

Features are float arrays [n, width], one row a picture. Everything is computed in float64. Names are the field's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pytorch_fid.fid_score import calculate_frechet_distance

Array = NDArray[np.float64]
Rows = NDArray[np.floating]
"""Features [n, width] of any precision."""

FID_FEWEST: Final = 2048  # pictures: with fewer the covariance of 2048 features has no full rank
KID_FEWEST: Final = 50
KID_SUBSET: Final = 1000
KID_SUBSETS: Final = 100
SPLITS: Final = 10  # of the Inception score, as in its paper
LEVEL: Final = 0.95


class MetricProblem(ValueError):
    """Why there is no number."""


def checked(features: NDArray[np.floating], fewest: int = 1, what: str = "pictures") -> Array:
    """As float64. Raises MetricProblem for too few rows, and for values that are no numbers."""
    rows = np.asarray(features, dtype=np.float64)
    if len(rows) < fewest:
        raise MetricProblem(f"{len(rows)} {what}; at least {fewest} are needed")
    if not np.isfinite(rows).all():
        raise MetricProblem(f"the features of {(~np.isfinite(rows).all(1)).sum()} {what} are not finite")
    return rows


def unit(features: Array) -> Array:
    """Rows of length 1."""
    rows: Array = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return rows


# --- of each picture ----------------------------------------------------------------------------------------
def clip_scores(images: Rows, texts: Rows) -> Array:
    """100 · cos of each picture and its prompt, [n] (Hessel et al., arXiv 2104.08718, with torchmetrics' factor of
    100; as there, it is the mean that is not below 0).
    """
    cosines: Array = (unit(checked(images)) * unit(checked(texts))).sum(1)
    return 100 * cosines


def nearest(images: Rows, photos: Rows) -> tuple[NDArray[np.intp], Array]:
    """For each picture the place of the photo that it resembles most, and their cosine, [n] each."""
    cosines = unit(checked(images)) @ unit(checked(photos)).T
    places = cosines.argmax(1)
    return places, cosines[np.arange(len(places)), places]


def fidelity(images: Rows, photos: Rows) -> Array:
    """The mean cosine of each picture to all photos, [n]: DreamBooth's CLIP-I (arXiv 2208.12242) by picture."""
    scores: Array = (unit(checked(images)) @ unit(checked(photos)).T).mean(1)
    return scores


def copied(similarity: Array, photos: Rows, held_out: Rows | None = None, margin: float = 0.5) -> NDArray[np.bool_]:
    """Which pictures are nearer to a learned photo than such photos are to each other, [n].

    The bound lies `margin` of the way from the highest cosine between two different photos (of the learned ones, or of
    a held-out one to a learned one) to 1: a picture beyond it is no neighbour, but that photo again.
    """
    learned = unit(checked(photos, 2, "photos"))
    cosines = learned @ learned.T
    np.fill_diagonal(cosines, -1.0)
    usual = cosines.max(1)
    if held_out is not None and len(held_out):
        usual = np.concatenate([usual, (unit(checked(held_out)) @ learned.T).max(1)])
    usual = usual[usual < 1 - 1e-6]  # the same photo twice says nothing about different ones
    highest = float(np.quantile(usual, LEVEL)) if len(usual) else 0.0
    return similarity > highest + margin * (1 - highest)


# --- of sets ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Moments:
    """Mean [width] and covariance [width, width] of features: all that a Fréchet distance needs."""

    mean: Array
    covariance: Array
    n: int


class Streaming:
    """Moments of features that come in parts, so that no list of them is kept."""

    def __init__(self) -> None:
        self._n, self._sum, self._outer = 0, np.zeros(0), np.zeros((0, 0))

    def add(self, features: NDArray[np.floating]) -> None:
        rows = checked(features)
        if not self._n:
            self._sum, self._outer = np.zeros(rows.shape[1]), np.zeros((rows.shape[1], rows.shape[1]))
        self._n += len(rows)
        self._sum += rows.sum(0)
        self._outer += rows.T @ rows

    def moments(self) -> Moments:
        """Raises MetricProblem for fewer than two pictures."""
        if self._n < 2:
            raise MetricProblem(f"{self._n} pictures; at least 2 are needed")
        mean = self._sum / self._n
        covariance = (self._outer - self._n * np.outer(mean, mean)) / (self._n - 1)
        return Moments(mean, covariance, self._n)


def moments_of(features: NDArray[np.floating]) -> Moments:
    stream = Streaming()
    stream.add(features)
    return stream.moments()


def frechet_distance(one: Moments, other: Moments) -> float:
    """|m − m'|² + Tr(C + C' − 2 (C C')^½) (Heusel et al., arXiv 1706.08500), by pytorch-fid."""
    return float(calculate_frechet_distance(one.mean, one.covariance, other.mean, other.covariance))


def kid(one: Rows, other: Rows, seed: int = 0, subsets: int = KID_SUBSETS) -> tuple[float, float, float]:
    """Unbiased squared MMD with the kernel (x·y / width + 1)³ (Bińkowski et al., arXiv 1801.01401): mean over random
    subsets, and the 2.5 and 97.5 % quantiles of bootstrap resamples.
    """
    mine, theirs = checked(one, KID_FEWEST), checked(other, KID_FEWEST, "photos")
    rng = np.random.default_rng(seed)
    size = min(KID_SUBSET, len(mine), len(theirs))
    if size == len(mine) == len(theirs):
        value = _mmd(mine, theirs)
    else:
        value = float(np.mean([_mmd(_some(mine, size, rng), _some(theirs, size, rng)) for _ in range(subsets)]))
    spread = _mmd_spread(mine, theirs, rng)
    return value, value - spread, value + spread


def _some(rows: Array, size: int, rng: np.random.Generator) -> Array:
    return rows[rng.choice(len(rows), size, replace=False)]


def _kernel(one: Array, other: Array) -> Array:
    cubed: Array = (one @ other.T / one.shape[1] + 1) ** 3
    return cubed


def _mmd(one: Array, other: Array) -> float:
    m, n = len(one), len(other)
    own, theirs = _kernel(one, one), _kernel(other, other)
    within = (own.sum() - np.trace(own)) / (m * (m - 1)) + (theirs.sum() - np.trace(theirs)) / (n * (n - 1))
    return float(within - 2 * _kernel(one, other).mean())


def _mmd_spread(one: Array, other: Array, rng: np.random.Generator, folds: int = 20) -> float:
    """Half a 95 % interval by the jackknife over folds: left out one by one, nothing is drawn twice, which would bias
    an unbiased estimate."""
    folds = min(folds, len(one) // 2, len(other) // 2)
    one_parts = np.array_split(rng.permutation(len(one)), folds)
    other_parts = np.array_split(rng.permutation(len(other)), folds)
    values = [
        _mmd(np.delete(one, mine, 0), np.delete(other, theirs, 0))
        for mine, theirs in zip(one_parts, other_parts, strict=True)
    ]
    variance = (folds - 1) / folds * np.sum((np.array(values) - np.mean(values)) ** 2)
    return float(1.959964 * np.sqrt(variance))


def inception_score(probabilities: Rows, splits: int = SPLITS, seed: int = 0) -> tuple[float, float]:
    """exp of the mean KL(p(y|x) ‖ p(y)) over `splits` parts in random order, and its deviation (Salimans et al.,
    arXiv 1606.03498). `probabilities` [n, classes] sum to 1.
    """
    rows = checked(probabilities, 2)
    rows = rows[np.random.default_rng(seed).permutation(len(rows))]
    parts = np.array_split(rows, min(splits, len(rows) // 2))
    return _split_scores(parts)


def _split_scores(parts: Iterable[Array]) -> tuple[float, float]:
    scores = []
    for part in parts:
        marginal = part.mean(0, keepdims=True)
        divergence = part * (np.log(np.maximum(part, 1e-16)) - np.log(np.maximum(marginal, 1e-16)))
        scores.append(np.exp(divergence.sum(1).mean()))
    return float(np.mean(scores)), float(np.std(scores))


def diversity(features: Rows) -> float:
    """The mean of 1 − cos over all pairs: 0 where all pictures are the same."""
    rows = unit(checked(features, 2))
    total = rows.sum(0)
    n = len(rows)
    return float(1 - (total @ total - n) / (n * (n - 1)))


# --- how sure ---------------------------------------------------------------------------------------------------
def bootstrap(
    rows: int, statistic: Callable[[NDArray[np.intp]], float], samples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """The percentile interval (LEVEL) of a statistic of `rows` pictures, which gets the places of a resample
    (Efron, "Bootstrap methods", 1979)."""
    rng = np.random.default_rng(seed)
    values = [statistic(rng.integers(rows, size=rows)) for _ in range(samples)]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
