"""Features in their true formats with seeded random weights, and what the evaluator makes of them."""

from __future__ import annotations

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
from shoesai.engine.features import ExtractorProblem
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
    torch.save(network.state_dict(), path)
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
    own = features.inception(str(inception_file)).look([features.opened(path) for path in paths])
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
    with pytest.raises(ExtractorProblem, match="SHOESAI_INCEPTION"):
        features.inception(str(tmp_path / "none.pth"))
    with pytest.raises(ExtractorProblem, match="SHOESAI_CLIP"):
        features.clip("clip", str(tmp_path))
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
    picture = [features.opened(write_pictures(tmp_path, 1)[0])]
    one = features.inception(str(inception_file)).look(picture)
    other = features.inception(str(tmp_path / "inception.safetensors")).look(picture)
    np.testing.assert_array_equal(one["image"], other["image"])


def test_what_was_looked_at_once_is_not_looked_at_again(tmp_path: Path) -> None:
    pictures = named(write_pictures(tmp_path / "pictures", 5), PROMPTS)
    first, _events, _metrics = told_by(pictures, cache_dir=str(tmp_path / "cache"))
    (kept, *_others) = sorted((tmp_path / "cache").rglob("*.npz"))
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 5
    kept.write_bytes(kept.read_bytes()[:40])  # cut short by a power failure
    extractor = features.clip("starter", str(STARTER))
    looked: list[int] = []

    def look(some: list[Image.Image]) -> features.Features:
        looked.append(len(some))
        return extractor.look(some)

    counting = features.Extractor(extractor.name, extractor.sha256, look, extractor.read)
    cache = features.FeatureCache(str(tmp_path / "cache"), counting)
    list(features.features_of([picture.path for picture in pictures], counting, cache))
    assert looked == [1]
    again, _events, _metrics = told_by(pictures, cache_dir=str(tmp_path / "cache"))
    values = [[row["value"] for row in result["metrics"]] for result in (first, again)]
    assert values[0] == pytest.approx(values[1], rel=1e-5)


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


def test_it_stops_between_two_batches(tmp_path: Path) -> None:
    inputs = EvaluateInputs(named(write_pictures(tmp_path, 3), PROMPTS), starter_clip=str(STARTER))
    with pytest.raises(Stopped):
        evaluate(EvaluateSpec(extractors=("starter",)), inputs, lambda *_a, **_k: None, lambda: "cancel")
