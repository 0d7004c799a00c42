"""What the engine's tests share: tiny bases and photos, made once, and a recorder of events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shoesai.engine import validation
from shoesai.engine.base_model import Base, forget_base, load_base
from shoesai.engine.specs import PhotoInput
from shoesai.engine.tests import tiny


def pytest_configure(config: pytest.Config) -> None:
    """Diffusers' own quarrels with NumPy 2, thousands of them."""
    config.addinivalue_line("filterwarnings", "ignore:__array:DeprecationWarning")
    config.addinivalue_line("filterwarnings", "ignore:.*to_numpy.*:DeprecationWarning")


class Recorder:
    """An `emit` that remembers; `recorder["step"]` are the fields of all events of that name."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, event: str, **fields: Any) -> None:
        self.events.append((event, fields))

    def __getitem__(self, event: str) -> list[dict[str, Any]]:
        return [fields for name, fields in self.events if name == event]


@pytest.fixture(scope="session", autouse=True)
def short_validation() -> Iterator[None]:
    """What a validation picture looks like is nobody's business here, and it is the longest part of a short run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validation, "INFERENCE_STEPS", 4)
        yield


@pytest.fixture
def emitted() -> Recorder:
    return Recorder()


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny.build_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def v_base_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny.build_base(tmp_path_factory.mktemp("v_base"), "v_prediction")


@pytest.fixture
def base(base_folder: str) -> Base:
    """Freshly loaded, so that no test sees another's adapters."""
    forget_base()
    return load_base(base_folder)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[PhotoInput, ...]:
    written = tiny.write_photos(tmp_path_factory.mktemp("photos"))
    return tuple(PhotoInput(path, caption) for path, caption in written)


NEVER: Callable[[], None] = lambda: None  # noqa: E731


@pytest.fixture
def never() -> Callable[[], None]:
    """A should_stop that lets the job run to its end."""
    return NEVER


@pytest.fixture
def output(tmp_path: Path) -> Path:
    folder = tmp_path / "output"
    folder.mkdir()
    return folder
