"""Makes docs/gallery.md's pictures and figures from a training run, through the real queue, with fixed seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError, CommandParser
from PIL import Image

from generation.contact_sheet import grid_sheet, webp_within
from generation.models import Generation
from generation.references import keep_reference
from generation.services import GenerationRequest, InvalidRequest, request_generation
from shoesai import files, terminal
from shoesai.jobs.queue import QuotaReached
from shoesai.management.results import (
    Chapter,
    Figures,
    Pictures,
    Row,
    Settings,
    by_model,
    chapters,
    measured,
    named_types,
    photo,
)
from shoesai.management.results_page import chapter_block, summary_block, with_block
from shoesai.management.smoke import a_worker
from shoesai.models import User
from shoesai.terminal import DataCommand
from training.demo import GUIDANCE_SCALE, RUN
from training.models import TrainingRun
from training.outputs import write_whole

SHEETS: Final = Path("images/gallery")  # beside the page
SHEET_BYTES: Final = 100_000
SIDE: Final = 128
CHECKPOINTS: Final = 3
Measured = list[tuple[str, Figures]]


class Command(DataCommand):
    help = (
        "Makes pictures without and with each checkpoint of a run from fixed seeds, measures them, and writes"
        " gallery.md and its sheets. Words between the written blocks of the page stay. A picture that this run's"
        " gallery has already is not made again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--run", default=RUN, help=f"The training run. Default: {RUN}.")
        parser.add_argument("--out", type=Path, default=Path("docs"), help="The page's folder. Default: docs.")
        parser.add_argument("--steps", type=int, default=25, help="Of each picture. Default: 25.")
        parser.add_argument("--guidance", type=float, default=GUIDANCE_SCALE, help=f"Default: {GUIDANCE_SCALE}.")
        parser.add_argument("--seed", type=int, default=42, help="Of the first column, then + 1. Default: 42.")
        parser.add_argument("--columns", type=int, help="At most so many pictures a row: a rehearsal.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["columns"] is not None and options["columns"] < 1:
            raise CommandError("--columns: must be 1 or more.", returncode=terminal.USAGE)
        user = self.user(options)
        run = _find_run(user, options["run"])
        settings = Settings(_models(run), options["steps"], options["guidance"], options["seed"])
        out, quiet = options["out"], options["verbosity"] == 0
        reference = _write_photo(out)
        with (out / reference).open("rb") as file:
            book = chapters(settings, keep_reference(user, file).pk)
        book = [chapter.cut(options["columns"] or len(chapter.captions)) for chapter in book]
        with a_worker():
            pictures = _make(user, run, book, quiet=quiet)
        types = named_types(pictures)
        figures = {chapter.name: _measure(chapter.rows, pictures, types) for chapter in book}
        figures["summary"] = _measure(by_model(book), pictures, types)
        blocks = [("summary", "In figures", summary_block(run, settings, figures["summary"], str(out)))]
        for chapter in book:
            sheet = str(_write_sheet(out, chapter, pictures))
            block = chapter_block(chapter, sheet, figures[chapter.name], str(out / reference))
            blocks.append((chapter.name, chapter.title, block))
        _write_page(out / "gallery.md", blocks)
        self._print(out / "gallery.md", figures, options)

    def _print(self, page: Path, figures: dict[str, Measured], options: dict[str, Any]) -> None:
        if options["json"]:
            told = {name: {label: asdict(each) for label, each in rows} for name, rows in figures.items()}
            self.print_json({"page": str(page), "figures": told})
        else:
            self.stdout.write(str(page))
            terminal.say(
                "Look at every sheet, and read the words between the figures again: they are not written here."
            )


def _find_run(user: User, name: str) -> TrainingRun:
    run = TrainingRun.objects.visible_to(user).select_related("base_model").filter(name=name).first()
    if run is None or not run.checkpoints.exists():
        words = f"--run: there is no training run {name!r} with checkpoints among those of {user.username};"
        raise CommandError(f"{words} --user acts for another.", returncode=terminal.NOT_FOUND)
    return run


def _models(run: TrainingRun) -> list[str]:
    """The base model and up to three checkpoints, evenly spread; the last is among them."""
    checkpoints = [each.name for each in run.checkpoints.select_related("run").order_by("step")]
    parts = min(CHECKPOINTS, len(checkpoints))
    return [run.base_model.name, *(checkpoints[len(checkpoints) * (n + 1) // parts - 1] for n in range(parts))]


# --- making the pictures ----------------------------------------------------------------------------------------
def _make(user: User, run: TrainingRun, book: Iterable[Chapter], *, quiet: bool) -> Pictures:
    """Chapter by chapter, because one user may have only so many jobs waiting."""
    pictures: dict[GenerationRequest, Image.Image] = {}
    for chapter in book:
        wanted = [wish.request for row in chapter.rows for wish in row.wishes]
        asked = {request: _ask(user, run, request) for request in wanted}
        with terminal.progress(chapter.title, quiet=quiet) as view:
            for number, (request, generation) in enumerate(asked.items()):
                view.show(number, len(asked), request.prompt)
                terminal.finished(generation.job, request.prompt, quiet=True, only_watch=True)
                pictures[request] = _picture(generation)
            view.show(len(asked), len(asked), "")
    return pictures


def _ask(user: User, run: TrainingRun, request: GenerationRequest) -> Generation:
    """What this run was asked before is not made again, unless it failed or its picture is gone."""
    key = f"results {run.pk} {request.digest()}"
    try:
        for attempt in count():
            generation = request_generation(user=user, request=request, idempotency_key=f"{key} {attempt}")
            if generation.job.is_live or generation.images.exists():
                return generation
    except InvalidRequest as error:
        raise CommandError(str(error), returncode=terminal.USAGE) from error
    except QuotaReached as error:
        raise CommandError(str(error), returncode=terminal.TRY_LATER) from error
    raise AssertionError("count() does not end")


def _picture(generation: Generation) -> Image.Image:
    with Image.open(BytesIO(files.read(generation.images.select_related("blob").get().blob))) as picture:
        return picture.convert("RGB")


def _measure(rows: Iterable[Row], pictures: Pictures, types: dict[GenerationRequest, str]) -> Measured:
    return [(row.label, measured(row.wishes, pictures, types)) for row in rows]


# --- writing ----------------------------------------------------------------------------------------------------
def _write_photo(out: Path) -> Path:
    """What the pictures of a chapter start from; lossless, so that `generate --reference` starts from the same."""
    data = BytesIO()
    photo().save(data, "WEBP", lossless=True)
    _write(out / SHEETS / "photo.webp", data.getvalue())
    return SHEETS / "photo.webp"


def _write_sheet(out: Path, chapter: Chapter, pictures: Pictures) -> Path:
    lead = [chapter.photo] if chapter.photo else []
    rows = [(row.label, [*lead, *(pictures[wish.request] for wish in row.wishes)]) for row in chapter.rows]
    captions = [*(["the photo"] if lead else []), *chapter.captions]
    sheet = grid_sheet(rows, captions, title=chapter.title, columns=chapter.columns, side=SIDE)
    path = SHEETS / f"{chapter.name}.webp"
    _write(out / path, webp_within(sheet, SHEET_BYTES))
    return path


def _write_page(path: Path, blocks: Sequence[tuple[str, str, str]]) -> None:
    page = path.read_text("utf-8") if path.exists() else ""
    for name, title, block in blocks:
        page = with_block(page, name, title, block)
    _write(path, page.encode())


def _write(path: Path, data: bytes) -> None:
    try:
        write_whole(path, data)
    except OSError as error:
        raise CommandError(f"--out: {path}: {error.strerror}.", returncode=terminal.USAGE) from error
