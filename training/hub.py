"""Base models from the Hugging Face hub, at a revision that is pinned before the first byte is fetched.

Only the command that staff call asks the hub; workers and web processes never do. What comes lies in the hub's own
cache (`hf cache` shows and empties it), so an interrupted download goes on where it was, and a model that this user
has fetched before is found without internet.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shoesai.engine import base_folder
from shoesai.engine.base_folder import CONFIGURATION

HUB_SECONDS = 20.0


class HubProblem(Exception):
    """The model cannot be had from the hub; the words say what to do instead."""


@dataclass(frozen=True)
class Fetched:
    """A diffusers folder in the hub's cache, and the commit that it is."""

    folder: Path
    revision: str


def fetch(hub_id: str, family: str, revision: str | None = None) -> Fetched:
    """The small files first, so that a model which does not fit is not fetched for nothing.

    Raises HubProblem, and BaseModelProblem for what is not a base model of that family.
    """
    from huggingface_hub import HfApi, errors  # takes a while, and no other command needs it

    try:
        small = _download(hub_id, revision, list(CONFIGURATION))
        commit = small.name  # the cache names its folders after the commits
        info = HfApi().model_info(hub_id, revision=commit, timeout=HUB_SECONDS)
        files = base_folder.needed([file.rfilename for file in info.siblings or []], hub_id)
        base_folder.check_configuration(small, family)
        return Fetched(_download(hub_id, commit, files), commit)
    except errors.RevisionNotFoundError as error:
        raise HubProblem(f"--revision: {hub_id} has no revision {revision!r} on the hub.") from error
    except errors.GatedRepoError as error:
        raise HubProblem(
            f"{hub_id} asks for an account that has accepted its licence: accept it on the hub, run"
            " `hf auth login`, then call this again."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise HubProblem(
            f"There is no public model {hub_id} on the hub; for one of your own run `hf auth login` first."
        ) from error
    except (errors.HTTPError, errors.OfflineModeIsEnabled, OSError) as error:
        cached = _in_cache(hub_id, revision)
        if cached:
            return cached
        raise HubProblem(_unreachable(hub_id, error)) from error


def _download(hub_id: str, revision: str | None, files: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(hub_id, revision=revision, allow_patterns=files))


def _in_cache(hub_id: str, revision: str | None) -> Fetched | None:
    """A whole model that was fetched before."""
    from huggingface_hub import snapshot_download

    try:  # the client vouches for the small files only; whether the large ones are there is seen at once
        small = list(CONFIGURATION)
        folder = Path(snapshot_download(hub_id, revision=revision, allow_patterns=small, local_files_only=True))
        base_folder.check_folder(folder)
    except (OSError, ValueError):
        return None
    return Fetched(folder, folder.name)


def _unreachable(hub_id: str, error: BaseException) -> str:
    """With what happened first, which says more than what the client made of it."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return (
        f"The hub cannot be reached for {hub_id} ({str(error)[:200] or type(error).__name__}). Run this command where"
        " there is internet and the same MODELS_DIR; or fetch the model elsewhere and give its folder or .safetensors"
        " file instead: `manage.py add_base_model FOLDER_OR_FILE --name NAME`."
    )
