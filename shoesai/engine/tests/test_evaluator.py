"""Features in their true formats with seeded random weights, and what the evaluator makes of them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_fid import fid_score
from pytorch_fid.inception import InceptionV3
from safetensors.torch import save_file
from torchmetrics.functional.multimodal import clip_score as torchmetrics_clip_score
from transformers import CLIPModel, CLIPProcessor

from shoesai.engine import features
from shoesai.engine.evaluator import evaluate
from shoesai.engine.feature_cache import FeatureCache
from shoesai.engine.features import Extractor, ExtractorProblem, WeightsMissing, features_of
from shoesai.engine.progress import Stopped
from shoesai.engine.specs import EvaluateInputs, EvaluatePicture, EvaluateSpec, SpecError

STARTER = Path(__file__).parents[2] / "starter" / "weights" / "clip"
PROMPTS = ["a red boot", "a blue sneaker on white background", "green sandals", "a shoe"]


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published file's format: a pickled state dict of the patched network, here with random weights."""
    torch.manual_seed(5)
    network = features.fid_inception()
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    path = tmp_path_factory.mktemp("inception") / "pt_inception-random.pth"
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=False)  # it is as old as that
    return path


def write_pictures(folder: Path, count: int, shade: int = 0, side: int = 48) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(shade)
    paths = []
    for number in range(count):
        pixels = np.clip(rng.normal(120 + shade, 50, (side // 8, side // 8, 3)), 0, 255).astype(np.uint8)
        picture = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
        paths.append(str(folder / f"{number:04}.png"))
        picture.save(paths[-1])
    return paths


def named(paths: Sequence[str], prompts: Sequence[str] = ()) -> tuple[EvaluatePicture, ...]:
    return tuple(
        EvaluatePicture(Path(path).name, path, prompts[number % len(prompts)] if prompts else "")
        for number, path in enumerate(paths)
    )


def told_by(
    pictures: Sequence[EvaluatePicture], extractors: tuple[str, ...] = ("starter",), **inputs: Any
) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """The result, its events of pictures, and its metrics by name."""
    events: list[dict[str, Any]] = []

    def emit(event: str, **fields: Any) -> None:
        if event == "picture":
            events.append(fields)

    given = EvaluateInputs(tuple(pictures), starter_clip=str(STARTER), **inputs)
    spec = EvaluateSpec(extractors=extractors, samples=50)
    result = evaluate(spec, given, emit, lambda: None)
    return result, events, {row["name"]: row for row in result["metrics"]}


def seen_by(extractor: Extractor, paths: Sequence[str], cache: str = "", batch: int = 0) -> dict[str, Any]:
    parts = list(features_of(paths, extractor, FeatureCache(cache, extractor.identity), batch))
    assert all(isinstance(part, features.Seen) for part in parts)
    return {name: np.concatenate([part.features[name] for part in parts]) for name in parts[0].features}  # type: ignore[union-attr]


class TensorsAsBefore(CLIPModel):
    """transformers 5 answers with objects where torchmetrics 1.9 expects tensors."""

    def get_image_features(self, pixel_values: torch.Tensor, **_options: Any) -> torch.Tensor:
        return self.visual_projection(self.vision_model(pixel_values=pixel_values).pooler_output)

    def get_text_features(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        told = self.text_model(input_ids=input_ids, attention_mask=attention_mask)
        return self.text_projection(told.pooler_output)


def test_clip_score_is_torchmetrics_with_the_same_weights(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, 4)
    _result, events, metrics = told_by(named(paths, PROMPTS))
    pictures = [torch.tensor(np.array(Image.open(path))).permute(2, 0, 1) for path in paths]
    processor = CLIPProcessor.from_pretrained(STARTER)
    wanted = torchmetrics_clip_score(pictures, PROMPTS, lambda: (TensorsAsBefore.from_pretrained(STARTER), processor))
    assert metrics["clip_score"]["value"] == pytest.approx(float(wanted), abs=1e-2)
    assert [event["key"] for event in events] == [Path(path).name for path in paths]


def test_features_are_pytorch_fids(tmp_path: Path, inception_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = torch.load(inception_file, weights_only=True)
    monkeypatch.setattr("pytorch_fid.inception.load_state_dict_from_url", lambda *_args, **_options: state)
    paths = write_pictures(tmp_path, 4)
    wanted = fid_score.get_activations(paths, InceptionV3([3]), batch_size=2, num_workers=0)
    own = seen_by(features.inception(str(inception_file)), paths)
    np.testing.assert_allclose(own["image"], wanted, atol=1e-4)
    np.testing.assert_allclose(own["probabilities"].sum(1), 1, atol=1e-5)


@pytest.mark.slow  # the root of a matrix of 2048 × 2048, three times
def test_fid_is_pytorch_fids_on_the_same_images_and_weights(
    tmp_path: Path, inception_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = write_pictures(tmp_path / "one", 12), write_pictures(tmp_path / "other", 14, shade=30)
    state = torch.load(inception_file, weights_only=True)
    monkeypatch.setattr("pytorch_fid.inception.load_state_dict_from_url", lambda *_args, **_options: state)
    paths = [str(tmp_path / "one"), str(tmp_path / "other")]
    wanted = fid_score.calculate_fid_given_paths(paths, batch_size=6, device="cpu", dims=2048, num_workers=0)
    _result, _events, metrics = told_by(
        named(one), ("inception",), references=named(other), inception=str(inception_file)
    )
    assert metrics["fid"]["value"] == pytest.approx(wanted, abs=1e-3, rel=1e-5)
    assert (metrics["fid"]["indicative"], metrics["fid"]["n"], metrics["fid"]["n_reference"]) == (True, 12, 14)
    assert metrics["inception_score"]["indicative"]
    assert metrics["kid"]["value"] is None and "at least 50" in metrics["kid"]["reason"]


def test_weights_are_refused_when_they_are_others_or_not_there(tmp_path: Path, inception_file: Path) -> None:
    with pytest.raises(ExtractorProblem, match="SHA-256"):
        features.inception(str(inception_file), "6726825d")
    with pytest.raises(WeightsMissing, match="SHOESAI_INCEPTION"):
        features.inception(str(tmp_path / "none.pth"))
    for nothing in (str(tmp_path), "nobody/no-such-clip"):
        with pytest.raises(WeightsMissing, match="SHOESAI_CLIP"):
            features.clip("clip", nothing)
    with pytest.raises(ExtractorProblem, match="SHA-256"):
        features.clip("clip", str(STARTER), "00")
    (tmp_path / "other.pth").write_bytes(b"no weights")
    with pytest.raises(ExtractorProblem, match="holds no Inception"):
        features.inception(str(tmp_path / "other.pth"))
    renamed = tmp_path / features.INCEPTION_FILE
    renamed.write_bytes(inception_file.read_bytes())
    with pytest.raises(ExtractorProblem, match="damaged or another file"):
        features.inception(str(renamed))


def test_the_same_tensors_as_safetensors_give_the_same_features(tmp_path: Path, inception_file: Path) -> None:
    state = torch.load(inception_file, weights_only=True)
    save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "inception.safetensors")
    paths = write_pictures(tmp_path, 1)
    one = seen_by(features.inception(str(inception_file)), paths)
    other = seen_by(features.inception(str(tmp_path / "inception.safetensors")), paths)
    np.testing.assert_array_equal(one["image"], other["image"])


def counting(extractor: Extractor, looked: list[int]) -> Extractor:
    def look(pictures: list[torch.Tensor]) -> dict[str, Any]:
        looked.append(len(pictures))
        return extractor.look(pictures)

    return dataclasses.replace(extractor, look=look)


def test_what_was_looked_at_once_is_not_looked_at_again(tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    pictures = named(write_pictures(tmp_path / "pictures", 5), PROMPTS)
    paths = [picture.path for picture in pictures]
    first, _events, _metrics = told_by(pictures, cache_dir=cache)
    looked: list[int] = []
    extractor = counting(features.clip("starter", str(STARTER)), looked)
    again = seen_by(extractor, [*reversed(paths), *write_pictures(tmp_path / "more", 1, shade=9)], cache, batch=2)
    assert looked == [1]
    np.testing.assert_array_equal(again["image"][:5], seen_by(extractor, paths, cache)["image"][::-1])
    repeated, _events, _metrics = told_by(pictures, cache_dir=cache)
    assert repeated == first


def test_what_was_cut_short_is_looked_at_again(tmp_path: Path) -> None:
    paths, cache = write_pictures(tmp_path, 3), str(tmp_path / "cache")
    looked: list[int] = []
    extractor = counting(features.clip("starter", str(STARTER)), looked)
    wanted = seen_by(extractor, paths, cache, batch=3)
    (shard,) = Path(cache).rglob("*.safetensors")
    shard.write_bytes(shard.read_bytes()[:-9])
    np.testing.assert_array_equal(seen_by(extractor, paths, cache, batch=3)["image"], wanted["image"])
    assert looked == [3, 3]


def test_the_cache_keeps_to_its_bound_and_forgets_the_oldest(tmp_path: Path) -> None:
    cache = FeatureCache(str(tmp_path), "me", bound=3 * 4400)
    for number in range(6):
        cache.put([f"{number}" * 64], {"image": np.full((1, 1024), number, dtype=np.float32)})
        for shard in tmp_path.rglob("*.safetensors"):  # so that they differ in age
            os.utime(shard, (shard.stat().st_mtime - 10,) * 2)
    opened = FeatureCache(str(tmp_path), "me")
    kept = [opened.get(f"{number}" * 64) for number in range(6)]
    assert [row is not None for row in kept] == [False] * 3 + [True] * 3
    assert kept[5] is not None and kept[5]["image"][0] == 5
    assert FeatureCache(str(tmp_path), "other").get("5" * 64) is None


def test_a_picture_whose_features_are_no_numbers_is_named_and_left_out(tmp_path: Path) -> None:
    extractor = features.clip("starter", str(STARTER))

    def look(pictures: list[torch.Tensor]) -> dict[str, Any]:
        seen = extractor.look(pictures)
        seen["image"][1, 0] = np.nan
        return seen

    spoiled = dataclasses.replace(extractor, look=look)
    cache = FeatureCache(str(tmp_path / "cache"), "spoiled")
    broken, seen = features_of(write_pictures(tmp_path, 3), spoiled, cache)
    assert isinstance(broken, features.Broken) and "0001.png: the features are not finite" in broken.problem
    assert isinstance(seen, features.Seen) and seen.places == [0, 2]


def test_a_broken_picture_in_the_middle_is_named_and_the_others_are_judged(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, 4)
    Path(paths[1]).write_bytes(b"<html>")
    result, _events, metrics = told_by(named(paths, PROMPTS))
    assert metrics["clip_score"]["n"] == 3
    assert any(problem.startswith("0001.png") for problem in result["problems"])


def test_sizes_may_differ(tmp_path: Path, inception_file: Path) -> None:
    paths = write_pictures(tmp_path / "a", 2) + write_pictures(tmp_path / "b", 2, side=64)
    _result, _events, metrics = told_by(named(paths), ("inception",), inception=str(inception_file))
    assert metrics["inception_score"]["n"] == 4


def test_one_picture_and_none(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, 1)
    _result, _events, metrics = told_by(named(paths, PROMPTS))
    assert metrics["clip_score"]["low"] is None
    assert metrics["diversity"]["value"] is None and "at least 2" in metrics["diversity"]["reason"]
    with pytest.raises(SpecError, match="empty"):
        told_by([])


def test_pictures_that_are_the_photos_themselves_are_warned_of_and_still_reported(tmp_path: Path) -> None:
    pictures = named(write_pictures(tmp_path, 60), PROMPTS)
    result, events, metrics = told_by(pictures, references=pictures, training=pictures)
    assert any("are the same" in problem for problem in result["problems"])
    assert metrics["kid"]["value"] <= 0
    assert metrics["copy_risk"]["value"] > 0.9
    assert metrics["copy_risk"]["detail"]["nearer_than_usual"] > 0.9
    first = metrics["copy_risk"]["detail"]["pairs"][0]
    assert first["key"] == first["nearest"]
    assert events[3]["nearest"] == "0003.png"


def test_prompts_that_end_early_are_told(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, 3)
    some = [*named(paths[:2], PROMPTS), *named(paths[2:])]
    result, _events, metrics = told_by(some)
    assert metrics["clip_score"]["n"] == 2
    assert any("no prompt" in problem for problem in result["problems"])


def test_standard_extractors_are_taken_where_their_weights_are_and_never_mixed(
    tmp_path: Path, inception_file: Path
) -> None:
    pictures = named(write_pictures(tmp_path, 3), PROMPTS)
    result, _events, metrics = told_by(pictures, ("auto",), inception=str(inception_file))
    assert [row["name"] for row in result["extractors"]] == ["starter", "inception"]
    assert (metrics["clip_score"]["extractor"], metrics["inception_score"]["extractor"]) == ("starter", "inception")
    result, _events, metrics = told_by(pictures, ("auto",), clip=str(STARTER))
    assert [row["name"] for row in result["extractors"]] == ["clip"]
    result, _events, metrics = told_by(pictures, ("auto",), clip="nobody/no-such-clip")
    assert [row["name"] for row in result["extractors"]] == ["starter"]
    assert any("SHOESAI_CLIP" in problem for problem in result["problems"])


def test_weights_that_are_others_are_not_passed_over_in_silence(tmp_path: Path, inception_file: Path) -> None:
    with pytest.raises(SpecError, match="damaged or another file"):
        told_by(named(write_pictures(tmp_path, 2)), ("auto",), inception=str(inception_file), inception_sha256="6726")
    with pytest.raises(SpecError, match="SHOESAI_INCEPTION"):
        told_by(named(write_pictures(tmp_path, 2)), ("inception",))


def test_it_stops_between_two_batches(tmp_path: Path) -> None:
    inputs = EvaluateInputs(named(write_pictures(tmp_path, 3), PROMPTS), starter_clip=str(STARTER))
    with pytest.raises(Stopped):
        evaluate(EvaluateSpec(extractors=("starter",)), inputs, lambda *_a, **_k: None, lambda: "cancel")
