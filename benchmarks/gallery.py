"""Server time of the gallery on a filled database, beside the naive way (OFFSET, LIKE, COUNT) in the same run.

    SHOESAI_DATA_DIR=/tmp/trial python manage.py migrate
    SHOESAI_DATA_DIR=/tmp/trial python manage.py make_gallery 100000
    SHOESAI_DATA_DIR=/tmp/trial python benchmarks/gallery.py

DATABASE_URL chooses PostgreSQL. Every case is asked once to warm the cache and then `--repeats` times through Django's
own test client: middleware, queries and templates are in it, the network is not. The naive peer does only the
database's part of the same page (its rows, the count of all, and one GROUP BY per facet), so `ratio` flatters it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shoesai.settings")

import psutil
from django.conf import settings
from django.contrib.staticfiles import finders
from django.db import connection
from django.db.models import Count, Q, QuerySet
from django.test import Client
from rich.console import Console
from rich.table import Table

import shoesai.wsgi  # noqa: F401 -- sets Django up as the server does
from gallery.models import Judgement
from generation.models import GeneratedImage, Shelf
from shoesai.accounts import acting_user
from shoesai.models import User

PAGE = 60
FACETS = (
    "generation__base_model__name", "generation__loras__checkpoint", "owner__username", "width",
    "generation__scheduler", "generation__loras__checkpoint__run__dataset_version__dataset", "taggings__tag__name",
)  # fmt: skip
# In a large gallery these come after the pictures, in a request of their own.
NUMBERS = "numbers:"
COUNTED_LATER = {
    "word of every second prompt": "q=photo",
    "two words": "q=red+leather",
    "phrase": "q=%22white+sole%22",
    "owner, steps and date": "owner=maker-04&q=steps:%3E30&date=month",
    "older than a year": "date=older",
    "favourites": "q=is:favourite",
    "tag and word": "q=black&tag=hero",
    "passes the house's checks": "passes=house",
}
WEIGHED = ("/", "/generate/", "/gallery/", "/collections/", "/trash/", "/training/", "/jobs/", "/account/")


def main() -> None:
    options = _options()
    settings.ALLOWED_HOSTS.append("testserver")
    viewer = acting_user(options.user)
    client = Client()
    client.force_login(viewer)
    cases = [measured(client, viewer, name, address, options) for name, address in addresses(viewer).items()]
    report = {
        "database": connection.vendor,
        "images": GeneratedImage.objects.count(),
        "visible": GeneratedImage.objects.visible_to(viewer).count(),
        "shelves": Shelf.objects.visible_to(viewer).count(),
        "cases": cases,
        "zip": zip_of_a_thousand(client, viewer),
        "page_kilobytes": {address: kilobytes(client, address) for address in WEIGHED},
    }
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        show(report)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--user")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--naive-repeats", type=int, default=3, help="0 leaves the naive peer out.")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def addresses(viewer: User) -> dict[str, str]:
    """Cases by name. The cursors stand in the middle and near the end of what the viewer sees."""
    ids = list(GeneratedImage.objects.visible_to(viewer).order_by("-created_at", "-id").values_list("pk", flat=True))
    seed = GeneratedImage.objects.values_list("seed", flat=True).first()
    return {
        "first page": "/gallery/?",
        "page in the middle": f"/gallery/?cursor={ids[len(ids) // 2]}",
        "page near the end": f"/gallery/?cursor={ids[-PAGE]}",
        "word of every second prompt": "/gallery/?q=photo",
        "common word": "/gallery/?q=shoe",
        "two words": "/gallery/?q=red+leather",
        "rare words": "/gallery/?q=pink+suede+sandal+-photo",
        "phrase": "/gallery/?q=%22white+sole%22",
        "no such word": "/gallery/?q=zeppelin",
        "model and scheduler": "/gallery/?checkpoint=trial-run-03%2Fcheckpoint-200&scheduler=euler",
        "owner, steps and date": "/gallery/?owner=maker-04&q=steps:%3E30&date=month",
        "older than a year": "/gallery/?date=older",
        "favourites": "/gallery/?q=is:favourite",
        "rated, best first": "/gallery/?q=rating:%3E=4&sort=rating",
        "tag and word": "/gallery/?q=black&tag=hero",
        "seed": f"/gallery/?q=seed:{seed}",
        "passes the house's checks": "/gallery/?passes=house",
        "passes a strict channel": "/gallery/?q=passes:amazon-main",
        "black and fails": "/gallery/?q=black+-passes:house",
        **{f"{NUMBERS} {name}": f"/gallery/?{query}&counted=1" for name, query in COUNTED_LATER.items()},
        "list of tags opened": "/gallery/facets/tag/?",
        "list of channels opened": "/gallery/facets/passes/?",
    }


def measured(client: Client, viewer: User, name: str, address: str, options: argparse.Namespace) -> dict[str, Any]:
    """A page after a cursor is asked for as htmx does while one scrolls."""
    headers = {"HX-Request": "true"} if "cursor" in address else {}
    if name.startswith(NUMBERS):
        headers = {"HX-Request": "true", "HX-Target": "facet-list"}
    with connection.execute_wrapper(counter := Counter()):
        response = client.get(address, headers=headers)
    assert response.status_code == 200, (address, response.status_code)
    seconds = timed(lambda: client.get(address, headers=headers), options.repeats)
    case = {"case": name, "queries": counter.queries, "p50_ms": _ms(seconds, 50), "p95_ms": _ms(seconds, 95)}
    if options.naive_repeats and not name.startswith((NUMBERS, "list of")):  # the naive page has counted them
        offset = _offset(viewer, name)
        naive = timed(lambda: naive_page(viewer, address, offset), options.naive_repeats)
        case |= {"naive_p50_ms": _ms(naive, 50), "ratio": round(_ms(naive, 50) / case["p50_ms"], 1)}
    return case


class Counter:
    """Counts the queries that pass it."""

    queries = 0

    def __call__(self, execute: Callable[..., Any], *query: Any) -> Any:
        self.queries += 1
        return execute(*query)


def timed(ask: Callable[[], Any], repeats: int) -> list[float]:
    ask()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        ask()
        seconds.append(time.perf_counter() - began)
    return seconds


def _ms(seconds: list[float], percentile: int) -> float:
    if len(seconds) == 1:
        return round(1000 * seconds[0], 1)
    return round(1000 * statistics.quantiles(seconds, n=100, method="inclusive")[percentile - 1], 1)


# --- the naive way ----------------------------------------------------------------------------------------------------
def naive_page(viewer: User, address: str, offset: int) -> None:
    """What one writes first: OFFSET, LIKE on every word, COUNT(*) and a GROUP BY for each facet."""
    images = _naive(viewer, address)
    list(images.select_related("generation", "owner")[offset : offset + PAGE])
    images.count()
    if not offset:  # scrolling asks for no facets
        for facet in FACETS:
            list(images.order_by().values(facet).annotate(Count("pk", distinct=True)).order_by("-pk__count")[:30])


def _offset(viewer: User, name: str) -> int:
    share = {"page in the middle": 0.5, "page near the end": 1.0}.get(name)
    return int(share * GeneratedImage.objects.visible_to(viewer).count()) - PAGE if share else 0


def _naive(viewer: User, address: str) -> QuerySet[GeneratedImage]:
    images = GeneratedImage.objects.filter(Q(owner=viewer) | Q(team__in=viewer.teams.all()), trashed_at=None)
    query = address.partition("?")[2]
    parameters = dict(part.split("=", 1) for part in query.split("&") if "=" in part)
    for word in parameters.get("q", "").replace("%22", "").split("+"):
        if word.startswith("-"):
            images = images.exclude(generation__prompt__icontains=word[1:])
        elif ":" not in word:
            images = images.filter(generation__prompt__icontains=word)
    for name, condition in _NAIVE_FILTERS.items():
        if name in query:
            images = images.filter(condition(viewer))
    return images.order_by("-created_at", "-id")


def _mine(viewer: User, **wanted: Any) -> Q:
    return Q(pk__in=Judgement.objects.filter(user=viewer, **wanted).values("image"))


_NAIVE_FILTERS: dict[str, Callable[[User], Q]] = {
    "checkpoint=": lambda viewer: Q(generation__model_name="trial-run-03/checkpoint-200"),
    "scheduler=": lambda viewer: Q(generation__scheduler="euler"),
    "owner=": lambda viewer: Q(owner__username="maker-04"),
    "steps:": lambda viewer: Q(generation__num_inference_steps__gt=30),
    "is:favourite": lambda viewer: _mine(viewer, favourite=True),
    "rating:": lambda viewer: _mine(viewer, rating__gte=4),
    "tag=": lambda viewer: Q(taggings__tag__name="hero"),
}


# --- other figures ----------------------------------------------------------------------------------------------------
def zip_of_a_thousand(client: Client, viewer: User) -> dict[str, Any]:
    """Seconds until the first bytes, and how much more memory the process holds at the end than at the beginning."""
    wanted = GeneratedImage.objects.visible_to(viewer).order_by("-created_at")[:1000]
    chosen = [str(pk) for pk in wanted.values_list("pk", flat=True)]
    process = psutil.Process()
    before = process.memory_info().rss
    began = time.perf_counter()
    response = client.post("/gallery/zip/", {"image": chosen})
    parts = iter(response)
    size = len(next(parts))
    first = time.perf_counter() - began
    most = before
    for part in parts:
        size += len(part)
        most = max(most, process.memory_info().rss)
    return {
        "pictures": len(chosen),
        "first_byte_s": round(first, 3),
        "all_s": round(time.perf_counter() - began, 3),
        "megabytes": round(size / 1e6, 1),
        "length_is_exact": size == int(response["Content-Length"]),
        "memory_growth_megabytes": round((most - before) / 1e6, 1),
    }


def kilobytes(client: Client, address: str) -> float:
    """CSS and JavaScript that a page loads, modules that they import included, not compressed."""
    response = client.get(address)
    if response.status_code != 200:
        return 0.0
    waiting = re.findall(r'(?:src|href)="/static/([^"]+\.(?:js|css))"', response.content.decode())
    seen: dict[str, int] = {}
    while waiting:
        name = waiting.pop()
        path = finders.find(name)
        if name in seen or not path:
            continue
        text = Path(path).read_text()
        seen[name] = len(text.encode())
        if name.endswith(".js"):
            waiting += [f"js/{other}" for other in re.findall(r'from "\./([\w-]+\.js)"', text)]
    return round(sum(seen.values()) / 1000, 1)


def _cell(value: Any) -> str:
    """What has no naive peer has a dash."""
    return value if isinstance(value, str) else f"{value:,}"


def show(report: dict[str, Any]) -> None:
    console = Console()
    seen = f"{report['visible']:,} of them visible on {report['shelves']:,} shelves"
    table = Table(title=f"{report['database']}, {report['images']:,} pictures, {seen}")
    columns = list(report["cases"][0])
    for column in columns:
        table.add_column(column, justify="left" if column == "case" else "right")
    for case in report["cases"]:
        table.add_row(*[_cell(case.get(column, "–")) for column in columns])
    console.print(table)
    console.print("ZIP:", report["zip"])
    console.print("CSS + JS, kB:", report["page_kilobytes"])


if __name__ == "__main__":
    main()
