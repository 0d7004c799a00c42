"""Every metric beside its reference implementation, on the same features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytorch_fid.fid_score import calculate_frechet_distance
from torch_fidelity.metric_kid import kid_features_to_metric
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from shoesai.engine import metrics
from shoesai.engine.metrics import MetricProblem, Streaming

WIDTH = 24


class Identity(torch.nn.Module):
    """Features that are there already, for implementations that want to extract them."""

    num_features = WIDTH

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features


def features(n: int, shift: float = 0.0, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, WIDTH)) + shift * np.linspace(0, 1, WIDTH)).astype(np.float32)


def test_frechet_distance_is_pytorch_fids_however_the_features_come() -> None:
    one, other = features(300), features(400, 0.7, seed=2)
    wanted = calculate_frechet_distance(
        one.mean(0), np.cov(one, rowvar=False), other.mean(0), np.cov(other, rowvar=False)
    )
    stream = Streaming()
    for begin in range(0, 300, 37):
        stream.add(one[begin : begin + 37])
    assert metrics.frechet_distance(stream.moments(), metrics.moments_of(other)) == pytest.approx(wanted, abs=1e-3)
    assert metrics.frechet_distance(metrics.moments_of(one), metrics.moments_of(one)) == pytest.approx(0, abs=1e-5)


def test_frechet_distance_is_pytorch_fids_where_pictures_are_fewer_than_features() -> None:
    one, other = features(15), features(19, 0.7, seed=2)
    wanted = calculate_frechet_distance(
        one.mean(0), np.cov(one, rowvar=False), other.mean(0), np.cov(other, rowvar=False)
    )
    value = metrics.frechet_distance(metrics.moments_of(one), metrics.moments_of(other))
    assert value == pytest.approx(wanted, abs=1e-3)
    exact = metrics.frechet_of_few(one.astype(np.float64), other.astype(np.float64))
    assert exact == pytest.approx(value, abs=1e-6)
    assert metrics.frechet_distance(metrics.moments_of(one), metrics.moments_of(one)) == pytest.approx(0, abs=1e-6)


def test_a_large_mean_does_not_swallow_a_small_spread() -> None:
    rows = features(50).astype(np.float64) * 1e-4 + 1e6
    np.testing.assert_allclose(metrics.moments_of(rows).covariance, np.cov(rows, rowvar=False), rtol=1e-4)


def test_frechets_interval_is_as_wide_as_the_values_of_fresh_pictures_scatter() -> None:
    real = features(400, seed=1000)
    values, reaches = [], []
    for seed in range(40):
        pictures = features(200, 0.5, seed=seed)
        value = metrics.frechet_distance(metrics.moments_of(pictures), metrics.moments_of(real))
        interval = metrics.frechet_interval(pictures, real, value)
        assert interval
        values.append(value)
        reaches.append((interval[1] - interval[0]) / 2)
    assert 0.8 < np.mean(reaches) / (1.96 * np.std(values)) < 1.8  # the photos' own chance is in it, too
    assert metrics.frechet_interval(features(30), features(30, 0.5, seed=2), 1.0)


def test_kid_is_torchmetrics_on_whole_sets() -> None:
    one, other = features(120), features(120, 0.5, seed=2)
    reference = KernelInceptionDistance(feature=Identity(), subsets=1, subset_size=120)
    reference.update(torch.tensor(other), real=True)
    reference.update(torch.tensor(one), real=False)
    value, low, high = metrics.kid(one, other)
    assert value == pytest.approx(float(reference.compute()[0]), rel=1e-4)
    assert low < value < high


def test_kid_of_more_pictures_than_are_compared_at_once_is_torchmetrics_mean_over_subsets() -> None:
    one, other = features(90), features(130, 0.5, seed=2)
    reference = KernelInceptionDistance(feature=Identity(), subsets=400, subset_size=50)
    reference.update(torch.tensor(other), real=True)
    reference.update(torch.tensor(one), real=False)
    value, low, high = metrics.kid(one, other, subsets=400, size=50, whole=60)
    assert value == pytest.approx(float(reference.compute()[0]), rel=0.05)
    assert value == pytest.approx(metrics.kid(one, other)[0], rel=0.05)
    assert low < value < high


def test_kid_is_torch_fidelitys() -> None:
    one, other = features(120), features(150, 0.5, seed=2)
    told = kid_features_to_metric(
        torch.tensor(one), torch.tensor(other), kid_subsets=1, kid_subset_size=120, kid_degree=3, kid_gamma=None,
        kid_coef0=1, rng_seed=0, verbose=False,
    )  # fmt: skip
    subset = np.random.RandomState(0)
    mine = one[subset.choice(120, 120, replace=False)]
    theirs = other[subset.choice(150, 120, replace=False)]
    assert metrics.mmd(mine.astype(np.float64), theirs.astype(np.float64)) == pytest.approx(
        told["kernel_inception_distance_mean"], rel=1e-4
    )


def test_kids_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Of two samples of one distribution the truth is 0."""
    held = 0
    for seed in range(60):
        _value, low, high = metrics.kid(features(80, seed=seed), features(80, seed=1000 + seed))
        held += low <= 0 <= high
    assert held >= 51


def test_inception_score_is_torchmetrics() -> None:
    logits = features(200, 2.0) * 2
    reference = InceptionScore(feature=Identity(), splits=1)
    reference.update(torch.tensor(logits))
    probabilities = torch.tensor(logits).softmax(-1).double().numpy()
    value, deviation = metrics.inception_score(probabilities, splits=1)
    assert value == pytest.approx(float(reference.compute()[0]), rel=1e-5)
    assert deviation == 0
    low, high = metrics.inception_interval(probabilities, value, splits=1)
    assert low < value < high


def test_inception_score_splits_as_torchmetrics(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.tensor(features(205, 2.0) * 2)
    order = torch.tensor(np.random.default_rng(0).permutation(205))
    monkeypatch.setattr(torch, "randperm", lambda _n: order)
    reference = InceptionScore(feature=Identity(), splits=10)
    reference.update(logits)
    wanted = [float(number) for number in reference.compute()]
    assert metrics.inception_score(logits.softmax(-1).numpy()) == pytest.approx(wanted, rel=1e-4)


def test_clip_score_is_a_hundred_cosines() -> None:
    images, texts = features(20), features(20, seed=2)
    cosines = torch.nn.functional.cosine_similarity(torch.tensor(images), torch.tensor(texts))
    np.testing.assert_allclose(metrics.clip_scores(images, texts), 100 * cosines.numpy(), atol=1e-4)


def test_diversity_is_the_mean_over_pairs() -> None:
    rows = features(15)
    cosines = torch.nn.functional.cosine_similarity(torch.tensor(rows)[:, None], torch.tensor(rows)[None], dim=-1)
    pairs = cosines[~torch.eye(15, dtype=torch.bool)]
    assert metrics.diversity(rows) == pytest.approx(float(1 - pairs.mean()), abs=1e-6)
    assert metrics.diversity(np.repeat(rows[:1], 5, 0)) == pytest.approx(0, abs=1e-9)


def test_a_copy_stands_out_and_a_neighbour_does_not() -> None:
    photos = features(40, 3.0)
    own = features(10, 3.0, seed=5)
    copies = photos[:6] + 0.02 * features(6, seed=9)
    places, similarity = metrics.nearest(np.concatenate([own, copies]), photos)
    usual = metrics.usual_nearness(photos)
    assert (similarity > metrics.copy_bound(usual)).tolist() == [False] * 10 + [True] * 6
    assert metrics.nearer_than_usual(similarity[10:], usual) == 1
    assert 0.2 < metrics.nearer_than_usual(similarity[:10], usual) < 0.8
    assert places[10:].tolist() == [0, 1, 2, 3, 4, 5]


def test_the_bootstraps_interval_holds_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for seed in range(150):
        sample = rng.normal(5, 2, 60)
        low, high = metrics.bootstrap(60, lambda places: float(sample[places].mean()), 300, seed)  # noqa: B023
        held += low <= 5 <= high
    assert 0.88 <= held / 150 <= 0.99


def test_what_is_no_number_or_too_few_is_refused_in_words() -> None:
    broken = features(60)
    broken[3, 2] = np.nan
    for call in (
        lambda: metrics.kid(broken, features(60)),
        lambda: metrics.kid(features(20), features(60)),
        lambda: metrics.diversity(features(1)),
        lambda: metrics.moments_of(features(1)),
        lambda: metrics.moments_of(broken),
        lambda: metrics.nearest(broken, features(3)),
        lambda: metrics.usual_nearness(features(1)),
        lambda: metrics.inception_score(np.abs(broken)),
    ):
        with pytest.raises(MetricProblem):
            call()
