"""Brings real weights in: a diffusers folder, a single safetensors file, or a model of the hub."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from shoesai import terminal
from shoesai.engine import single_file
from shoesai.engine.base_folder import BaseModelProblem
from shoesai.models import User
from shoesai.terminal import DataCommand
from training import base_models, hub
from training.base_models import FILE, FOLDER, HUB_ID, HUB_MODELS, IN_PLACE, NewBase, Refused
from training.management.adding import add_and_follow, add_common_flags

NO_TOKENIZER = (
    "--tokenizer: a single file has no tokenizer, and no base model of this family is here to take it from. Give a"
    " folder with vocab.json and merges.txt, such as the folder `tokenizer` of any Stable Diffusion 1.5."
)

ROW = ("name", "family", "title", "resolution", "guidance_scale", "license_note")  # what flags say of the row


class Command(DataCommand):
    help = (
        "Adds a base model to train from and to generate with. SOURCE is a diffusers folder (copied into MODELS_DIR"
        " unless it lies there), a single .safetensors checkpoint (taken apart once), or a hub id such as"
        " runwayml/stable-diffusion-v1-5. Safetensors only; nothing from a model is ever run."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", metavar="SOURCE", help="A folder, a .safetensors file, or owner/name on the hub.")
        parser.add_argument("--name", help="What it is called here. Default for Stable Diffusion 1.5 by hub id: sd15.")
        parser.add_argument("--license-note", default="", help="What people should know before they use it.")
        parser.add_argument("--resolution", type=int, default=512, help="What it was made for, in pixels. [512]")
        parser.add_argument("--guidance-scale", type=float, default=7.5, help="When a request names none. [7.5]")
        parser.add_argument("--tokenizer", type=Path, metavar="DIR", help="For a single file: where its tokenizer is.")
        parser.add_argument("--revision", help="For a hub id: a commit, tag or branch. Default: the newest.")
        add_common_flags(parser)
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.user(options)
        try:
            base_models.require_staff(user)
            new = self._new_base(user, options)
        except Refused as error:
            raise CommandError(str(error), returncode=terminal.USAGE) from error
        except BaseModelProblem as error:
            raise CommandError(f"{error}.", returncode=terminal.INVALID_DATA) from error
        except hub.HubProblem as error:
            raise CommandError(str(error), returncode=terminal.FAILED) from error
        if new:
            add_and_follow(self, user, new, options)

    def _new_base(self, user: User, options: dict[str, Any]) -> NewBase | None:
        """What SOURCE stands for; None when --dry-run has said all that can be said of a hub id."""
        source = options["source"]
        path = Path(source).expanduser()
        _refuse_stray(options, is_file=path.is_file(), is_hub=not path.exists())
        if path.is_dir():
            return self._from_folder(path, options)
        if path.exists():
            return self._from_file(path, options)
        if HUB_ID.fullmatch(source) and not path.suffix:
            return self._from_hub(user, base_models.hub_id(source), options)
        text = f"SOURCE: {source} is neither a folder nor a file that is here, nor a hub id (owner/name)."
        raise CommandError(text, returncode=terminal.NOT_FOUND)

    def _from_folder(self, folder: Path, options: dict[str, Any]) -> NewBase:
        place = base_models.place_below_models_dir(folder)
        return replace(
            self._plain(options, how=IN_PLACE if place else FOLDER, origin=folder.resolve().name),
            source=os.path.abspath(folder),
            location=place or options["name"],
        )

    def _from_file(self, file: Path, options: dict[str, Any]) -> NewBase:
        new = self._plain(options, how=FILE, origin=file.name)
        single_file.read_checkpoint(file, new.family)
        tokenizer = options["tokenizer"] or base_models.known_tokenizer(new.family)
        if tokenizer is None:
            raise Refused(NO_TOKENIZER)
        return replace(new, source=os.path.abspath(file), tokenizer=os.path.abspath(tokenizer))

    def _from_hub(self, user: User, hub_id: str, options: dict[str, Any]) -> NewBase | None:
        """The name is looked at before gigabytes are fetched."""
        known = HUB_MODELS.get(hub_id)
        if known:
            mine = {"name": known.name, "title": known.title, "license_note": known.license_note}
            options = {**options, **{key: options[key] or value for key, value in mine.items()}}
        new = self._plain(options, how=FOLDER, origin=f"{hub_id}@{options['revision'] or 'newest'}")
        base_models.check_settings(new)
        if options["dry_run"]:
            self._say_what_would_be_fetched(new, options)
            return None
        terminal.say(f"Asking the hub for {hub_id}.")
        fetched = hub.fetch(hub_id, new.family, options["revision"])
        return replace(new, source=str(fetched.folder), origin=f"{hub_id}@{fetched.revision}")

    def _plain(self, options: dict[str, Any], *, how: str, origin: str) -> NewBase:
        if not options["name"]:
            raise Refused("--name: give the base model the name that it shall have here.")
        return NewBase(
            how=how,
            origin=origin,
            **{key: options[key] for key in ROW},
        )

    def _say_what_would_be_fetched(self, new: NewBase, options: dict[str, Any]) -> None:
        facts = {"base_model": new.name, "family": new.family, "source": new.origin, "folder": new.location}
        if options["json"]:
            self.print_json(facts)
        else:
            self.stdout.write(f"{new.origin} would be fetched and added as {new.name}.")


def _refuse_stray(options: dict[str, Any], *, is_file: bool, is_hub: bool) -> None:
    """A flag that would do nothing was meant for something else."""
    if options["tokenizer"] and not is_file:
        raise Refused("--tokenizer: only a single file needs one; a folder brings its own.")
    if options["revision"] and not is_hub:
        raise Refused("--revision: only the hub has revisions; this SOURCE is on this disk.")
