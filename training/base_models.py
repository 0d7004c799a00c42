"""Base models: finding them by name, and bringing new ones in.

A new one comes about in a folder beside its place, is checked there by the engine, and is moved into place when its
row is written: whatever interrupts this, there is no half a model under a good name.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from shoesai.engine import base_folder, single_file
from shoesai.engine.base_folder import BaseModelProblem
from shoesai.engine.specs import BaseSpec, RandomBaseSpec, Spec
from shoesai.jobs import queue
from shoesai.models import Job, User
from training.models import BaseModel


class UnknownBaseModel(Exception):
    """No base model of this name is here; the words list those that are, and how to add one."""


class Refused(Exception):
    """A base model that cannot be added like this: names the setting and the remedy."""


# --- names --------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class HubModel:
    """What a model of the hub is called here, and what there is to say about it."""

    name: str
    title: str
    license_note: str


SD15_HUB_ID = "stable-diffusion-v1-5/stable-diffusion-v1-5"
HUB_ALIASES = {"runwayml/stable-diffusion-v1-5": SD15_HUB_ID}  # the address it had until 2024, in many a script
HUB_MODELS = {SD15_HUB_ID: HubModel("sd15", "Stable Diffusion 1.5", "CreativeML Open RAIL-M")}
HUB_ID = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,119}")


def find_base_model(name: str) -> BaseModel:
    """By its own name, or by the hub's. Raises UnknownBaseModel."""
    base = BaseModel.objects.filter(name=name).first() or BaseModel.objects.filter(name=local_name(name)).first()
    if base:
        return base
    here = local_name(name)
    words = _(
        "there is no base model '%(name)s' among those that are here: %(known)s. Staff add it with"
        " `manage.py add_base_model %(source)s --name %(here)s`."
    )
    if here != name:
        words = _(
            "there is no base model '%(name)s', called '%(here)s' here, among those that are here: %(known)s. Staff add"
            " it with `manage.py add_base_model %(source)s --name %(here)s`."
        )
    source = hub_id(name) if HUB_ID.fullmatch(name) else "FOLDER_OR_FILE"
    known = ", ".join(BaseModel.objects.values_list("name", flat=True)) or _("none yet")
    raise UnknownBaseModel(
        words % {"name": name, "known": known, "source": source, "here": here.rpartition("/")[2]}
    )


def hub_id(name: str) -> str:
    """The repository that a hub name stands for today."""
    return HUB_ALIASES.get(name, name)


def local_name(name: str) -> str:
    """What a base model that the hub knows under this name is called here; other names are their own."""
    known = HUB_MODELS.get(hub_id(name))
    return known.name if known else name


# --- what is to be added ------------------------------------------------------------------------------------
RANDOM, FILE, FOLDER, IN_PLACE = "random", "file", "folder", "in place"
# How its folder comes about → the engine's operation; one that lies in MODELS_DIR already is only checked.
OPERATIONS = {RANDOM: "make_base", FILE: "convert_base", FOLDER: "copy_base"}
FULL_SIZE = {"sd15": {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480}}
BYTES_EACH = {"fp16": 2, "fp32": 4}


@dataclass(frozen=True)
class NewBase:
    """What the row will say, and what the folder is made from. Travels in the job's spec.

    `origin` is what people are told of where it comes from; `source` and `tokenizer` are paths, which nobody is told.
    """

    name: str
    family: str
    how: str
    origin: str
    title: str = ""
    resolution: int = 512
    guidance_scale: float = 7.5
    license_note: str = ""
    location: str = ""
    source: str = ""
    tokenizer: str = ""
    seed: int = 0
    precision: str = "fp16"

    def __post_init__(self) -> None:
        """Its place is its name below MODELS_DIR, unless it has one already."""
        object.__setattr__(self, "location", self.location or self.name)
        object.__setattr__(self, "title", self.title or self.name)

    @property
    def spec(self) -> Spec:
        """For the engine. Raises SpecError."""
        if self.how == RANDOM:
            return RandomBaseSpec(self.family, self.seed, self.precision)
        return BaseSpec(self.family)


def parameters_of(family: str) -> int:
    """Of UNet, VAE and text encoder together."""
    return sum(FULL_SIZE[family].values())


def bytes_to_write(new: NewBase) -> int:
    if new.how == RANDOM:
        return parameters_of(new.family) * BYTES_EACH[new.precision]
    if new.how == FILE:
        return Path(new.source).stat().st_size
    if new.how == FOLDER:
        source = Path(new.source)
        return base_folder.size_of(source, base_folder.check_folder(source, new.family))
    return 0


def check_new_base(user: User, new: NewBase) -> None:
    """Everything that can be known before the work begins.

    Raises Refused for a setting, SpecError for one that the engine knows, BaseModelProblem for the source.
    """
    require_staff(user)
    check_settings(new)
    new.spec  # noqa: B018
    if new.how == FILE:
        single_file.read_checkpoint(Path(new.source), new.family)
        base_folder.find_tokenizer(Path(new.tokenizer))
    if new.how in (FOLDER, IN_PLACE):
        base_folder.check_folder(Path(new.source), new.family)
    free, wanted = shutil.disk_usage(_models_dir()).free, bytes_to_write(new)
    if wanted > free:
        raise Refused(f"MODELS_DIR has {free / 1e9:.1f} GB free, and {new.name} needs {wanted / 1e9:.1f} GB there.")


def require_staff(user: User) -> None:
    """Everybody trains from a base model, so staff choose them; `local` is whoever owns this machine's terminal."""
    if not (user.is_staff or user.username == "local"):
        raise Refused(f"--user: {user.username} is not staff, and only staff add base models.")


def check_settings(new: NewBase) -> None:
    if not NAME.fullmatch(new.name):
        raise Refused(f"--name: {new.name!r} must be letters, digits, '-' or '_', at most 120 of them.")
    if BaseModel.objects.filter(name=new.name).exists():
        raise Refused(f"--name: there is a base model named {new.name!r} already; choose another.")
    taken = BaseModel.objects.filter(location=new.location).first()
    if taken:
        raise Refused(f"--name: the folder {new.location!r} of MODELS_DIR is the base model {taken.name!r} already.")
    if new.how != IN_PLACE and (_models_dir() / new.location).exists():
        raise Refused(
            f"--name: MODELS_DIR has a folder {new.location!r} already; choose another name, or move it away."
        )
    if not 64 <= new.resolution <= 2048 or new.resolution % 8:
        raise Refused(f"--resolution: {new.resolution} must be a multiple of 8 between 64 and 2048.")
    if not 0 <= new.guidance_scale <= 30:
        raise Refused(f"--guidance-scale: {new.guidance_scale} must be between 0 and 30.")
    if len(new.title) > 120:
        raise Refused("--title: must be at most 120 characters long.")


def place_below_models_dir(folder: Path) -> str | None:
    """Its name relative to MODELS_DIR, or None when it lies elsewhere."""
    root, real = _models_dir(), folder.resolve()
    return real.relative_to(root).as_posix() if root in real.parents else None


def known_tokenizer(family: str) -> Path | None:
    """That of a base model of this family which is here already; the families' tokenizers never differ."""
    for base in BaseModel.objects.filter(family=family).order_by("created_at"):
        try:
            return base_folder.find_tokenizer(base.path)
        except BaseModelProblem:
            continue
    return None


# --- adding it ----------------------------------------------------------------------------------------------
def add_base_model(user: User, new: NewBase) -> Job:
    """Queues the work. Raises what `check_new_base` raises, and queue.QueueFull."""
    check_new_base(user, new)
    return queue.enqueue(owner=user, kind="add_base_model", spec={"base": asdict(new)})


@contextmanager
def staging(job: Job, name: str) -> Iterator[Path]:
    """An empty folder of that name, on the disk of MODELS_DIR; whatever is still in it at the end goes."""
    _forget_abandoned()
    own = _models_dir() / f".adding-{job.pk}"
    shutil.rmtree(own, ignore_errors=True)  # of an attempt that was killed
    folder = own / name
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(own, ignore_errors=True)


def publish(new: NewBase, staged: Path | None, sha256: str) -> BaseModel:
    """Moves the folder into place and writes the row. Raises OSError when the place was taken meanwhile."""
    place = _models_dir() / new.location
    if staged:
        os.rename(staged, place)
        _fsync(place.parent)
    try:
        return BaseModel.objects.create(
            name=new.name,
            title=new.title,
            family=new.family,
            format=BaseModel.Format.DIFFUSERS,
            location=new.location,
            sha256=sha256,
            source=new.origin,
            guidance_scale=new.guidance_scale,
            resolution=new.resolution,
            license_note=new.license_note,
        )
    except BaseException:
        if staged:
            shutil.rmtree(place, ignore_errors=True)
        raise


def _forget_abandoned() -> None:
    """What jobs left that were killed and not taken up again."""
    for folder in _models_dir().glob(".adding-*"):
        live = Job.objects.filter(pk=folder.name.removeprefix(".adding-"), state__in=Job.LIVE)
        if not live.exists():
            shutil.rmtree(folder, ignore_errors=True)


def _fsync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _models_dir() -> Path:
    root = Path(settings.MODELS_DIR)
    root.mkdir(parents=True, exist_ok=True)
    return root.resolve()


def describe(new: NewBase) -> dict[str, Any]:
    """The plan, for people: no path of this machine is in it."""
    return {
        "base_model": new.name,
        "title": new.title,
        "family": new.family,
        "source": new.origin,
        "made_by": new.how,
        "folder": new.location,
        "resolution": new.resolution,
        "guidance_scale": new.guidance_scale,
        "bytes": bytes_to_write(new),
        "free_bytes": shutil.disk_usage(_models_dir()).free,
    }
