"""The whole journey in a few minutes: photos → LoRA → pictures → gallery, through the real queue."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from evaluation.catalogue_look import CatalogueLook, catalogue_look
from evaluation.court_words import refusals, sentence
from evaluation.models import EvaluationRun
from evaluation.score_table import table_of
from evaluation.services import Settings
from evaluation.sittings import request_sitting
from evaluation.suite import Suite
from generation.contact_sheet import grid_sheet
from generation.models import Generation
from generation.services import GenerationRequest, request_generation
from shoesai import files
from shoesai.accounts import create_token, new_password
from shoesai.models import Membership, Team, User
from shoesai.site import (
    DEFAULT_PORT,
    require_free_port,
    serve_until_stopped,
    signals_interrupt,
    start_web,
    start_worker,
    stop_all,
)
from shoesai.starter import draw
from shoesai.terminal import finished
from training.datasets.importing import import_photos
from training.demo import DATASET, GUIDANCE_SCALE, PHOTOS, RECIPE, draw_dataset, free_run_name
from training.importers import read_captions_json
from training.models import BaseModel, DatasetVersion, TrainingRun
from training.services import start_training

PICTURES = 24
JUDGED = Settings(prompts=6, seeds=2, num_inference_steps=15, guidance_scale=GUIDANCE_SCALE)


@dataclass(frozen=True)
class Question:
    """One prompt that does not mention the background, and the colour that it asks for."""

    prompt: str
    colour: str
    seed: int


class Command(BaseCommand):
    help = "Draws a dataset, trains a LoRA on the starter model, compares both, and opens the portal."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-serve", action="store_true", help="stop after the table")
        parser.add_argument("--json", metavar="FILE", help="also write the figures to FILE")
        parser.add_argument("--port", type=int, default=DEFAULT_PORT)

    def handle(self, *args: Any, **options: Any) -> None:
        signals_interrupt()
        self.started = time.monotonic()
        self.console = Console(soft_wrap=True, highlight=False)
        if not options["no_serve"]:
            require_free_port(options["port"])
        if options["json"] and not Path(options["json"]).parent.is_dir():
            raise CommandError(f"--json {options['json']}: there is no such folder.", returncode=2)
        self._say(1, "The database")
        call_command("migrate", verbosity=0, interactive=False)
        user = self._make_people()
        self._say(2, f"{PHOTOS} catalogue photos on white, half of whose captions do not mention the background")
        folder = settings.DATA_DIR / "demo" / "dataset"
        draw_dataset(folder)
        version = import_photos(user=user, name=DATASET, photos=read_captions_json(folder))
        self.console.print(f"  {folder} → {version}, {version.photo_count} photos")
        worker = start_worker()
        try:
            figures = self._train_and_compare(user, version)
            if options["json"]:
                Path(options["json"]).write_text(json.dumps(figures, indent=2) + "\n")
            if not options["no_serve"]:
                self._serve(worker, options["port"])
        finally:
            stop_all(worker)

    def _say(self, number: int, what: str) -> None:
        self.console.print(f"[bold]{number}[/]  {what}")

    # --- people ---------------------------------------------------------------------------------------------------
    def _make_people(self) -> User:
        team, _ = Team.objects.get_or_create(name="Studio")
        for name, powers in (("demo", {}), ("admin", {"is_staff": True, "is_superuser": True})):
            user, created = User.objects.get_or_create(username=name, defaults=powers)
            Membership.objects.get_or_create(team=team, user=user)
            if created:
                self.console.print(f"  user [bold]{name}[/]  password [bold]{new_password(user)}[/]")
            else:
                self.console.print(f"  user {name} is there already (manage.py changepassword {name} sets a new one)")
        demo = User.objects.get(username="demo")
        if not demo.auth_token_set.exists():
            self.console.print(f"  API token of demo  [bold]{create_token(demo, 'demo')}[/]")
            self.console.print("  Passwords and token are shown this once.")
        return demo

    # --- learning and comparing -----------------------------------------------------------------------------------
    def _train_and_compare(self, user: User, version: DatasetVersion) -> dict[str, Any]:
        self._say(3, f"A LoRA on the starter model: rank {RECIPE.rank}, {RECIPE.max_train_steps} steps")
        run = start_training(
            user=user,
            name=free_run_name(),
            dataset_version=version,
            base_model=BaseModel.objects.get(name="starter"),
            spec=RECIPE,
        )
        finished(run.jobs.get(), "  training", only_watch=True)  # the worker above is about to be ready
        run.refresh_from_db()
        model = run.checkpoints.latest("step").name
        self.console.print(f"  checkpoints: {', '.join(c.name for c in run.checkpoints.all())}")

        self._say(4, f"{PICTURES} prompts that do not mention the background, same seeds, without and with the LoRA")
        questions = ask_questions()
        bare = self._generate(user, questions, "starter")
        with_lora = self._generate(user, questions, model)
        sheet = settings.DATA_DIR / "demo" / "contact_sheet.png"
        write_sheet(sheet, questions, bare.pictures, with_lora.pictures, model)
        figures = {
            "white_share_base": bare.look.white_share,
            "white_share_lora": with_lora.look.white_share,
            "colour_base": bare.look.colour_share,
            "colour_lora": with_lora.look.colour_share,
            "pictures": bare.look.pictures,
            "guidance_scale": GUIDANCE_SCALE,
            "train_steps": RECIPE.max_train_steps,
            "train_seconds": round(run.train_seconds, 1),
            "seconds_per_image": round((bare.seconds + with_lora.seconds) / (2 * len(questions)), 2),
            "model": model,
            "contact_sheet": str(sheet),
        }
        self._print_table(figures)
        figures["court"] = self._judge(user, run)
        figures["total_seconds"] = self._seconds()
        self.console.print(f"  {figures['total_seconds']:.0f} s in all · contact sheet: {sheet}")
        return figures

    def _generate(self, user: User, questions: list[Question], model: str) -> Answers:
        before = time.monotonic()
        asked = [
            request_generation(
                user=user,
                request=GenerationRequest(
                    prompt=question.prompt,
                    model_name=model,
                    seed=question.seed,
                    num_inference_steps=25,
                    guidance_scale=GUIDANCE_SCALE,
                ),
            )
            for question in questions
        ]
        for generation in track(asked, f"  {model:32}", console=self.console):
            finished(generation.job, generation.prompt, quiet=True, only_watch=True)
        pictures = [picture_of(generation) for generation in asked]
        look = catalogue_look(
            zip(pictures, (question.colour for question in questions), strict=True), draw.COLOURS
        )
        return Answers(pictures, look, time.monotonic() - before)

    def _print_table(self, figures: dict[str, Any]) -> None:
        table = Table(title=f"{figures['pictures']} pictures each, prompts without a background, same seeds")
        for heading in ("", "starter", "with the LoRA"):
            table.add_column(heading, justify="left" if not heading else "right")
        table.add_row("white background", f"{figures['white_share_base']:.2f}", f"{figures['white_share_lora']:.2f}")
        table.add_row("right colour", f"{figures['colour_base']:.2f}", f"{figures['colour_lora']:.2f}")
        self.console.print(table)
        self.console.print(
            f"  training {figures['train_seconds']:.0f} s · {figures['seconds_per_image']:.1f} s per image"
        )

    # --- choosing a checkpoint ------------------------------------------------------------------------------------
    def _judge(self, user: User, run: TrainingRun) -> dict[str, Any]:
        """The court's choice, and how it fares where nobody has chosen on it."""
        sitting = request_sitting(user, run, JUDGED)
        suite = Suite.from_dict(sitting.suite)
        self._say(5, f"The court: {len(list(suite.units()))} pictures of each checkpoint, of captions held out"
                     f"{f' ({suite.known_prompts} were not)' if suite.known_prompts else ''}")  # fmt: skip
        self._followed(sitting)
        self.console.print(table_of(sitting, "the bare base beside each checkpoint"))
        verdict = run.verdict
        for words in (sentence(verdict), *refusals(verdict)):
            self.console.print(f"  {words}")
        second = run.evaluations.filter(purpose=EvaluationRun.Purpose.SECOND_LOOK).first()
        if second:
            self.console.print(table_of(self._followed(second), "the choice on prompts and seeds that nobody chose on"))
            verdict.refresh_from_db()
        return {"verdict": verdict.sentence, "rejected": verdict.rejected, "second_look": verdict.second_look}

    def _followed(self, evaluation: EvaluationRun) -> EvaluationRun:
        assert evaluation.job
        finished(evaluation.job, f"  {evaluation.get_purpose_display().lower()}", only_watch=True)
        return evaluation

    def _seconds(self) -> float:
        return round(time.monotonic() - self.started, 1)

    def _serve(self, worker: Any, port: int) -> None:
        web = start_web(port)
        self.console.print(f"[bold]6[/]  The portal is at [bold]http://127.0.0.1:{port}[/] — Ctrl-C stops it.")
        try:
            serve_until_stopped(worker, web)
        finally:
            stop_all(web)


@dataclass(frozen=True)
class Answers:
    pictures: list[Image.Image]
    look: CatalogueLook
    seconds: float


def ask_questions() -> list[Question]:
    """Every colour equally often, every type in turn; prompts of the plainest wording."""
    colours, types = list(draw.COLOURS), list(draw.TYPES)
    questions = []
    for number in range(PICTURES):
        colour, kind = colours[number % len(colours)], types[(number + number // len(colours)) % len(types)]
        questions.append(Question(f"a photo of {colour} {kind}", colour, 1000 + number))
    return questions


def picture_of(generation: Generation) -> Image.Image:
    return Image.open(BytesIO(files.read(generation.images.select_related("blob").get().blob))).convert("RGB")


def write_sheet(
    path: Path, questions: list[Question], bare: list[Image.Image], with_lora: list[Image.Image], model: str
) -> None:
    sheet = grid_sheet(
        [("starter", bare), ("with LoRA", with_lora)],
        [question.prompt.removeprefix("a photo of ") for question in questions],
        title=f"Same prompts, same seeds: the starter, and the starter with {model}",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
