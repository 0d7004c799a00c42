"""Metrics as pure functions on features; where features come from is `features.py`'s business.

Features are float arrays [n, width], one row a picture. Everything is computed in float64. Names are the field's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.floating]
"""Features [n, width] of any precision."""
Interval = tuple[float, float]

FID_FEWEST: Final = 2048  # pictures: with fewer the covariance of 2048 features has no full rank
KID_FEWEST: Final = 50
KID_SUBSET: Final = 1000
KID_SUBSETS: Final = 100
KID_WHOLE: Final = 5000
SPLITS: Final = 10  # of the Inception score, as in its paper
LEVEL: Final = 0.95
Z: Final = 1.959964  # half a 95 % interval in standard deviations
FOLDS: Final = 20
CHUNK: Final = 512  # rows of similarities that are in memory at once


class MetricProblem(ValueError):
    """Why there is no number."""


def checked(features: Rows, fewest: int = 1, what: str = "pictures") -> Array:
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
    mine, theirs = unit(checked(images)), unit(checked(photos, what="photos")).T
    places, cosines = np.empty(len(mine), dtype=np.intp), np.empty(len(mine))
    for begin in range(0, len(mine), CHUNK):
        part = mine[begin : begin + CHUNK] @ theirs
        found = part.argmax(1)
        places[begin : begin + CHUNK] = found
        cosines[begin : begin + CHUNK] = part[np.arange(len(part)), found]
    return places, cosines


def fidelity(images: Rows, photos: Rows) -> Array:
    """The mean cosine of each picture to all photos, [n]: DreamBooth's CLIP-I (arXiv 2208.12242) by picture.

    The mean over pairs and not the nearest photo's: that one would reward a copy.
    """
    scores: Array = unit(checked(images)) @ unit(checked(photos, what="photos")).mean(0)
    return scores


def usual_nearness(photos: Rows, held_out: Rows | None = None) -> Array:
    """How near different photos of this kind come to each other: the highest cosine of each learned photo to another
    one, and of each held-out one to a learned one. The same photo twice says nothing, and is left out.
    """
    learned = unit(checked(photos, 2, "photos"))
    usual = np.empty(len(learned))
    for begin in range(0, len(learned), CHUNK):
        part = learned[begin : begin + CHUNK] @ learned.T
        part[np.arange(len(part)), np.arange(begin, begin + len(part))] = -1.0
        usual[begin : begin + CHUNK] = part.max(1)
    if held_out is not None and len(held_out):
        usual = np.concatenate([usual, nearest(held_out, photos)[1]])
    return usual[usual < 1 - 1e-6]


def copy_bound(usual: Array, margin: float = 0.5) -> float:
    """The cosine from which a picture is no neighbour of a photo, but that photo again: `margin` of the way from what
    is usual (its LEVEL quantile) to 1."""
    highest = float(np.quantile(usual, LEVEL)) if len(usual) else 0.0
    return highest + margin * (1 - highest)


def nearer_than_usual(similarity: Array, usual: Array) -> float:
    """The share of (picture, photo) in which the picture is nearer to a learned photo than the photo is: 0.5 where
    pictures are like new photos, 1 where all are copies. The test of Meehan et al. (arXiv 2004.05675) as a share.
    """
    ordered = np.sort(usual)
    below, upto = np.searchsorted(ordered, similarity, "left"), np.searchsorted(ordered, similarity, "right")
    return float((below + upto).mean() / 2 / max(len(ordered), 1))


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
        self._n, self._sum, self._outer, self._shift = 0, np.zeros(0), np.zeros((0, 0)), np.zeros(0)

    def add(self, features: Rows) -> None:
        rows = checked(features)
        if not self._n:  # seen from near the mean, a large mean does not swallow a small spread
            self._shift = rows.mean(0)
            self._sum, self._outer = np.zeros(rows.shape[1]), np.zeros((rows.shape[1], rows.shape[1]))
        rows = rows - self._shift
        self._n += len(rows)
        self._sum += rows.sum(0)
        self._outer += rows.T @ rows

    def moments(self) -> Moments:
        """Raises MetricProblem for fewer than two pictures."""
        if self._n < 2:
            raise MetricProblem(f"{self._n} pictures; at least 2 are needed")
        mean = self._sum / self._n
        covariance = (self._outer - self._n * np.outer(mean, mean)) / (self._n - 1)
        return Moments(mean + self._shift, covariance, self._n)


def moments_of(features: Rows) -> Moments:
    stream = Streaming()
    stream.add(features)
    return stream.moments()


def frechet_distance(one: Moments, other: Moments) -> float:
    """|m − m'|² + Tr(C + C' − 2 (C C')^½) (Heusel et al., arXiv 1706.08500), in features squared.

    pytorch-fid takes the root of C C', which is not symmetric, and has to mend it where it is singular. That of
    R' C' R with C = R R' has the same trace, needs symmetric eigenvalues only, and R has no more columns than C's rank.
    """
    roots = [_root(side.covariance) for side in (one, other)]
    thin, wide = (roots[0], other.covariance) if roots[0].shape[1] <= roots[1].shape[1] else (roots[1], one.covariance)
    cross = np.linalg.eigvalsh(thin.T @ wide @ thin)
    gap = one.mean - other.mean
    traces = np.trace(one.covariance) + np.trace(other.covariance)
    return float(gap @ gap + traces - 2 * np.sqrt(np.maximum(cross, 0)).sum())


def _root(covariance: Array) -> Array:
    """R [width, rank] with R R' the covariance: what rounding has made of its zeros is left out, as their root is
    large enough to matter."""
    values, vectors = np.linalg.eigh(covariance)
    real = values > max(values[-1], 0) * len(values) * np.finfo(np.float64).eps
    root: Array = vectors[:, real] * np.sqrt(values[real])
    return root


def frechet_of_few(one: Array, other: Array) -> float:
    """The same of rows that are fewer than they are wide: the trace of the root is the sum of the singular values of
    the rows' products, and no covariance is needed."""
    mine, theirs = one - one.mean(0), other - other.mean(0)
    gap = one.mean(0) - other.mean(0)
    m, n = len(one) - 1, len(other) - 1
    traces = (mine**2).sum() / m + (theirs**2).sum() / n
    return float(gap @ gap + traces - 2 * np.linalg.svd(mine @ theirs.T, compute_uv=False).sum() / np.sqrt(m * n))


def frechet_interval(one: Rows, other: Rows, value: float, seed: int = 0) -> Interval | None:
    """By the jackknife over folds. None where a hundred roots of large matrices would be needed."""
    mine, theirs = checked(one, 2), checked(other, 2, "photos")
    if min(len(mine), len(theirs)) <= min(mine.shape[1], 1000):
        return jackknife(mine, theirs, frechet_of_few, value, seed)
    if mine.shape[1] <= 600:
        return jackknife(mine, theirs, lambda a, b: frechet_distance(moments_of(a), moments_of(b)), value, seed)
    return None


def kid(
    one: Rows, other: Rows, seed: int = 0, subsets: int = KID_SUBSETS, size: int = KID_SUBSET, whole: int = KID_WHOLE
) -> tuple[float, float, float]:
    """Unbiased squared MMD with the kernel (x·y / width + 1)³ (Bińkowski et al., arXiv 1801.01401), and its interval.

    Of up to `whole` pictures it is that of all pairs: the value that torchmetrics' mean over random subsets scatters
    around, without the scatter. Of more, that mean. The interval is the jackknife's over folds.
    """
    mine, theirs = checked(one, KID_FEWEST), checked(other, KID_FEWEST, "photos")
    rng = np.random.default_rng(seed)
    if max(len(mine), len(theirs)) <= whole:
        value, reach = _mmd_of_folds(mine, theirs, rng)
        return value, value - reach, value + reach
    most = min(size, len(mine), len(theirs))
    values = [mmd(_some(mine, most, rng), _some(theirs, most, rng)) for _ in range(subsets)]
    value = float(np.mean(values))
    reach = _mmd_of_folds(_some(mine, min(whole, len(mine)), rng), _some(theirs, min(whole, len(theirs)), rng), rng)[1]
    return value, value - reach, value + reach


def _some(rows: Array, size: int, rng: np.random.Generator) -> Array:
    return rows[rng.choice(len(rows), size, replace=False)]


def mmd(one: Array, other: Array) -> float:
    """The unbiased estimate: a picture's kernel with itself is left out. Below 0 where sets are nearer than chance."""
    return _mmd_of_folds(one, other, np.random.default_rng(0), folds=1)[0]


def _mmd_of_folds(one: Array, other: Array, rng: np.random.Generator, folds: int = FOLDS) -> tuple[float, float]:
    """The estimate, and half its interval. Every kernel is computed once: sums between folds say also what is left
    without one of them."""
    folds = max(1, min(folds, len(one) // 2, len(other) // 2))
    mine, theirs = (np.array_split(rows[rng.permutation(len(rows))], folds) for rows in (one, other))
    sums = _kernel_sums(mine, mine), _kernel_sums(theirs, theirs), _kernel_sums(mine, theirs)
    own = np.array([_own_kernels(part) for part in mine]), np.array([_own_kernels(part) for part in theirs])
    sizes = np.array([len(part) for part in mine]), np.array([len(part) for part in theirs])

    def estimate(kept: NDArray[np.intp]) -> float:
        m, n = sizes[0][kept].sum(), sizes[1][kept].sum()
        square = np.ix_(kept, kept)
        within = (sums[0][square].sum() - own[0][kept].sum()) / (m * (m - 1))
        within += (sums[1][square].sum() - own[1][kept].sum()) / (n * (n - 1))
        return float(within - 2 * sums[2][square].sum() / (m * n))

    everything = np.arange(folds)
    if folds < 3:
        return estimate(everything), 0.0
    return estimate(everything), _reach([estimate(np.delete(everything, fold)) for fold in everything])


def _kernel_sums(ones: list[Array], others: list[Array]) -> Array:
    sums = np.empty((len(ones), len(others)))
    for row, one in enumerate(ones):
        for column, other in enumerate(others):
            kernel = one @ other.T
            kernel /= one.shape[1]
            kernel += 1
            sums[row, column] = (kernel * kernel * kernel).sum()
    return sums


def _own_kernels(rows: Array) -> float:
    return float((((rows**2).sum(1) / rows.shape[1] + 1) ** 3).sum())


def inception_score(probabilities: Rows, splits: int = SPLITS, seed: int = 0) -> tuple[float, float]:
    """exp of the mean KL(p(y|x) ‖ p(y)) over `splits` parts in random order, and its deviation (Salimans et al.,
    arXiv 1606.03498), split as in torchmetrics. `probabilities` [n, classes] sum to 1.
    """
    rows = checked(probabilities, 2)
    rows = rows[np.random.default_rng(seed).permutation(len(rows))]
    size = -(-len(rows) // min(splits, len(rows) // 2))
    scores = np.array([_split_score(rows[begin : begin + size]) for begin in range(0, len(rows), size)])
    return float(scores.mean()), float(scores.std(ddof=1)) if len(scores) > 1 else 0.0


def inception_interval(probabilities: Rows, value: float, splits: int = SPLITS, seed: int = 0) -> Interval:
    """By the jackknife over folds."""
    rows = checked(probabilities, 2)

    def statistic(some: Array, _others: Array) -> float:
        return inception_score(some, splits, seed)[0]

    return jackknife(rows, rows, statistic, value, seed)


def _split_score(part: Array) -> float:
    """The mean of KL(p ‖ q) is the entropy of the mean less the mean of the entropies."""
    return float(np.exp(_entropy(part.mean(0, keepdims=True))[0] - _entropy(part).mean()))


def _entropy(rows: Array) -> Array:
    told: Array = -(rows * np.log(np.maximum(rows, 1e-30))).sum(1)
    return told


def diversity(features: Rows) -> float:
    """The mean of 1 − cos over all pairs: 0 where all pictures are the same."""
    rows = unit(checked(features, 2))
    total = rows.sum(0)
    n = len(rows)
    return float(1 - (total @ total - n) / (n * (n - 1)))


def diversity_statistic(features: Rows) -> Callable[[NDArray[np.intp]], float]:
    """Diversity of a resample, for `bootstrap`: a picture that is drawn twice makes pairs with itself, which are left
    out, because they would make every resample look less diverse than the set."""
    rows = unit(checked(features, 2))

    def statistic(places: NDArray[np.intp]) -> float:
        counts = np.bincount(places, minlength=len(rows)).astype(np.float64)
        total, own = counts @ rows, float((counts**2).sum())
        pairs = counts.sum() ** 2 - own
        return float(1 - (total @ total - own) / pairs) if pairs else 0.0

    return statistic


# --- how sure -----------------------------------------------------------------------------------------------
def bootstrap(
    rows: int, statistic: Callable[[NDArray[np.intp]], float], samples: int = 1000, seed: int = 0
) -> Interval:
    """The percentile interval (LEVEL) of a statistic of `rows` pictures, which gets the places of a resample
    (Efron, "Bootstrap methods", 1979)."""
    rng = np.random.default_rng(seed)
    values = [statistic(rng.integers(rows, size=rows)) for _ in range(samples)]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def bootstrap_mean(values: Array, samples: int = 1000, seed: int = 0) -> Interval:
    """Of the mean of one value a picture."""
    return bootstrap(len(values), lambda places: float(values[places].mean()), samples, seed)


def jackknife(
    one: Array, other: Array, statistic: Callable[[Array, Array], float], value: float, seed: int = 0
) -> Interval:
    """`value` ± half a 95 % interval, from leaving out one fold of both sets after the other.

    Where duplicates bias a number of a whole set (KID, FID), resampling with replacement is the wrong question.
    """
    rng = np.random.default_rng(seed)
    folds = max(2, min(FOLDS, len(one) // 2, len(other) // 2))
    mine, theirs = (np.array_split(rng.permutation(len(rows)), folds) for rows in (one, other))
    left = [
        statistic(np.delete(one, some, 0), np.delete(other, others, 0))
        for some, others in zip(mine, theirs, strict=True)
        if len(one) - len(some) > 1 and len(other) - len(others) > 1
    ]
    reach = _reach(left) if len(left) > 1 else 0.0
    return value - reach, value + reach


def _reach(left: list[float]) -> float:
    """Half the interval, of the values without one fold each."""
    return Z * float(np.sqrt((len(left) - 1) / len(left) * np.sum((np.array(left) - np.mean(left)) ** 2)))
