"""Every page in Brazilian Portuguese: nothing of it is left in English, and what programs read is not translated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from itertools import product
from typing import Any

from django.test import TestCase
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from gallery.models import Collection, SavedSearch, ShareLink
from gallery.sharing import token_of
from gallery.trash import throw_away
from generation.models import GeneratedImage, Generation
from shoesai.models import Job
from shoesai.testing import BaseTestCase, finished_generation
from training.models import TrainingRun
from training.tests.runs import kept_checkpoint, photos_version, queued_run, taken

PORTUGUESE = {"accept-language": "pt-br"}
# Words of English sentences that are none of Portuguese ones, nor names of the trade as prompt and seed are.
ENGLISH = re.compile(
    r"\b(the|of|and|or|with|your|you|this|that|these|is|are|was|were|not|from|for|until|every|all|any|more|than|when"
    r"|pictures?|photos?|search|run|runs|step|steps|size|name|new|show|choose|delete|share|shared|trash|rating|tags?"
    r"|today|yesterday|selected|settings?)\b",
    re.IGNORECASE,
)
SEARCHED = re.compile(r"\b\w+:\S*")  # the search's own language: steps:>30
READ_ALOUD = ("alt", "aria-label", "title", "placeholder", "aria-description", "aria-roledescription")
# Not sentences: code, and what people typed.
SILENT = {"script", "style", "code", "kbd", "pre", "samp", "textarea"}
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr", "use"}
ELSEWHERE = ("admin/", "api/", "docs", "favicon.ico", "language/")


class Words(HTMLParser):
    """What people see and hear of a page; texts for scripts in `data-` count, too. Marked `lang` is meant to be so."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.said: list[str] = []
        self._silent: list[bool] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        foreign = tag != "html" and "lang" in given
        silent = tag in SILENT or foreign or (bool(self._silent) and self._silent[-1])
        if not silent:
            self.said += [value for name, value in attrs if value and self._is_spoken(name, value)]
        if tag not in VOID:
            self._silent.append(silent)

    @staticmethod
    def _is_spoken(name: str, value: str) -> bool:
        return name in READ_ALOUD or (name.startswith("data-") and " " in value)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and self._silent:
            self._silent.pop()

    def handle_data(self, data: str) -> None:
        if data.strip() and not (self._silent and self._silent[-1]):
            self.said.append(" ".join(data.split()))


def left_in_english(page: str) -> list[str]:
    return [words for words in Words(page).said if ENGLISH.search(SEARCHED.sub("", words))]


def patterns(inside: Any = None, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Every address of the portal with its pattern."""
    for each in (inside or get_resolver()).url_patterns:
        route = prefix + str(each.pattern)
        if route.startswith(ELSEWHERE):
            continue
        if isinstance(each, URLResolver):
            yield from patterns(each, route)
        else:
            yield route, each


def _filled(route: str, values: Iterable[Any]) -> str:
    """`s/<str:token>/<uuid:pk>/` with its places taken."""
    for value in values:
        route = re.sub(r"<[\w:]+>", str(value), route, count=1)
    return route


class EveryPageTest(BaseTestCase):
    """Everything that people name has Portuguese or foreign names, so that English can only be ours."""

    generation: Generation
    image: GeneratedImage
    run_of_alice: TrainingRun
    collection: Collection
    link: ShareLink
    search: SavedSearch

    @classmethod
    def setUpTestData(cls) -> None:
        super().setUpTestData()
        cls.generation = finished_generation(cls.alice, pictures=2, prompt="tênis vermelho")
        cls.image = cls.generation.images.get(seq=0)
        cls.run_of_alice = cls._failed_run()
        cls.collection = Collection.objects.create(owner=cls.alice, name="Verão")
        cls.collection.items.create(image=cls.image, added_by=cls.alice, position=1)
        cls.link = ShareLink.objects.create(collection=cls.collection, created_by=cls.alice)
        cls.search = SavedSearch.objects.create(owner=cls.alice, name="Vermelhos", query="q=vermelho")
        thrown_away = finished_generation(cls.alice, prompt="bota azul")
        throw_away(cls.alice, thrown_away.images.all())

    @classmethod
    def _failed_run(cls) -> TrainingRun:
        run = queued_run(cls.alice, name="verao")
        claim = taken(run)
        kept_checkpoint(run, 10, 0.1234)
        claim.finish(Job.State.FAILED, code="out_of_memory", text="The device ran out of memory; a smaller picture or"
                     " batch may fit.")  # fmt: skip
        photos_version(cls.alice, "praia")
        return run

    def _fillings(self) -> dict[str, list[Any]]:
        """What may stand in an address, by the converter of its place."""
        rows = (self.image, self.generation, self.generation.job, self.run_of_alice, self.collection, self.search)
        return {
            "UUIDConverter": [row.pk for row in rows],
            "StringConverter": [token_of(self.link)],
            "SlugConverter": ["owner", "model"],
        }

    def _pages(self) -> Iterator[tuple[str, str]]:
        self.client.force_login(self.alice)
        addresses = [address for route, pattern in patterns() for address in self._addresses(route, pattern)]
        for address in addresses + self._questions():
            response = self.client.get(address, headers=PORTUGUESE)
            is_page = response.status_code == 200 and "text/html" in response.get("Content-Type", "")
            if is_page and not response.streaming:
                yield address, response.content.decode()

    def _addresses(self, route: str, pattern: URLPattern) -> list[str]:
        fillings = self._fillings()
        choices = [fillings.get(type(each).__name__, []) for each in pattern.pattern.converters.values()]
        return [f"/{_filled(route, values)}" for values in product(*choices)]

    def _questions(self) -> list[str]:
        """Pages whose words depend on what is asked."""
        image, other = self.generation.images.values_list("pk", flat=True)
        run = self.run_of_alice.pk
        return [
            f"{reverse('gallery')}?q=azul",
            f"{reverse('gallery')}?q=steps:muitos+after:ontem+model:starter",
            f"{reverse('gallery')}?favourite=1&sort=rating",
            f"{reverse('image-compare')}?image={image}&image={other}",
            f"{reverse('image-compare')}?image={image}&image={other}&view=slider",
            f"{reverse('generate')}?from={image}",
            f"{reverse('training-compare')}?a={run}&b={run}&all=1",
            f"{reverse('training-new')}?clone={run}",
            f"{reverse('training')}?q=nada",
        ]

    def test_no_page_has_a_word_of_english(self) -> None:
        seen = []
        for address, page in self._pages():
            seen.append(address)
            with self.subTest(page=address):
                self.assertEqual(left_in_english(page), [])
                self.assertIn('<html lang="pt-br"', page if "<html" in page else '<html lang="pt-br"')
        for name in ("home", "generate", "gallery", "training", "training-new", "jobs", "account"):
            self.assertIn(reverse(name), seen)
        self.assertIn(reverse("image", args=[self.image.pk]), seen)
        self.assertIn(reverse("training-run", args=[self.run_of_alice.pk]), seen)

    def test_an_empty_portal_explains_itself_in_portuguese(self) -> None:
        self.client.force_login(self.charlie)
        for name in ("home", "generate", "gallery", "training", "training-new", "jobs", "account"):
            with self.subTest(page=name):
                self.assertEqual(left_in_english(self._get(reverse(name)).content.decode()), [])

    def test_pages_for_strangers_too(self) -> None:
        for name in ("login", "password-reset"):
            with self.subTest(page=name):
                self.assertEqual(left_in_english(self._get(reverse(name)).content.decode()), [])
        self.assertEqual(left_in_english(self._get("/nada/").content.decode()), [])

    def _get(self, address: str) -> Any:
        return self.client.get(address, headers=PORTUGUESE)


class ErrorsTest(BaseTestCase):
    """What is refused is refused in the reader's language; what programs switch on stays as it is."""

    def test_a_form_says_what_is_allowed(self) -> None:
        self.client.force_login(self.alice)
        wish = {"prompt": "tênis", "model_name": "starter", "num_images": 4, "num_inference_steps": 999, "seed": "",
                "size": "square", "scheduler": "ddim"}  # fmt: skip
        page = self.client.post(reverse("generate"), wish, headers=PORTUGUESE)
        self.assertContains(page, "Precisa ficar entre 1 e 150.", status_code=422)

    def test_the_api_says_it_in_the_language_that_the_program_asks_for_and_else_in_english(self) -> None:
        self.client.force_login(self.alice)
        said = {}
        for language in ("pt-br", ""):
            headers = {"accept-language": language} if language else {}
            reply = self.client.post(reverse("api-generate"), {"prompt": "tênis", "num_images": 11},
                                     content_type="application/json", headers=headers).json()  # fmt: skip
            self.assertEqual(reply["type"], "urn:shoesai:problem:invalid-request")
            said[language] = reply["errors"]
        self.assertEqual(said["pt-br"][0]["message"], "precisa ser um número inteiro entre 1 e 10.")
        self.assertEqual(said[""], [{"field": "num_images", "message": "must be a whole number between 1 and 10."}])

    def test_a_log_is_kept_in_english_and_shown_to_each_in_their_language(self) -> None:
        run = queued_run(self.alice, name="verao")
        self.client.force_login(self.alice)
        self.client.post(reverse("training-cancel", args=[run.pk]), headers=PORTUGUESE)
        kept = "Cancelled; it had not begun to learn."
        self.assertEqual(run.events.latest("id").message, kept)
        address = reverse("training-run", args=[run.pk])
        self.assertContains(self.client.get(address, headers=PORTUGUESE), "Cancelado; ainda não tinha começado")
        self.assertContains(self.client.get(address), kept)

    def test_a_setting_of_a_training_is_refused_in_the_readers_language(self) -> None:
        version = photos_version(self.alice, "praia")
        self.client.force_login(self.alice)
        initial = self.client.get(reverse("training-new")).context["form"].initial
        data = {name: value for name, value in initial.items() if value not in (None, False)}
        data |= {"dataset_version": str(version.pk), "base_model": str(data["base_model"].pk), "rank": "100000"}
        page = self.client.post(reverse("training-new"), data, headers=PORTUGUESE)
        self.assertContains(page, "Pode ser no máximo", status_code=422)


class WordsTest(TestCase):
    def test_what_is_looked_for_is_found(self) -> None:
        page = '<p title="Search the gallery">Olá<code>the end</code><i lang="en">the end</i> <b>New picture</b></p>'
        self.assertEqual(left_in_english(page), ["Search the gallery", "New picture"])


class NumbersTest(BaseTestCase):
    """A comma in an attribute, an address or JSON is a broken page."""

    def test_what_programs_read_keeps_its_point(self) -> None:
        run = queued_run(self.alice, name="verao", learning_rate=0.0005)
        finished_generation(self.alice, prompt="tênis", guidance_scale=7.5)
        self.client.force_login(self.alice)
        image = self.alice_image()
        for address in (reverse("generate"), f"{reverse('generate')}?from={image}", reverse("gallery"),
                        reverse("image", args=[image]), reverse("training-run", args=[run.pk])):  # fmt: skip
            page = self.client.get(address, headers=PORTUGUESE).content.decode()
            numbers = r'(?:min|max|step|width|height|x1|x2|y1|y2|value|data-[\w-]+)="-?\d+,\d+"'
            self.assertEqual(re.findall(numbers, page), [], address)
        metadata = self.client.get(reverse("image-metadata", args=[image]), headers=PORTUGUESE).json()
        self.assertEqual(metadata["guidance_scale"], 7.5)

    def alice_image(self) -> Any:
        return GeneratedImage.objects.values_list("pk", flat=True).first()

    def test_numbers_are_typed_as_people_write_them(self) -> None:
        version = photos_version(self.alice, "praia")
        self.client.force_login(self.alice)
        page = self.client.get(reverse("training-new"), headers=PORTUGUESE)
        self.assertContains(page, 'value="0,05"')
        data = {name: value for name, value in page.context["form"].initial.items() if value not in (None, False)}
        data |= {"dataset_version": str(version.pk), "base_model": str(data["base_model"].pk), "name": "verao",
                 "learning_rate": "0,0005"}  # fmt: skip
        response = self.client.post(reverse("training-new"), data, headers=PORTUGUESE)
        self.assertEqual(response.status_code, 302, response.context and response.context["form"].errors)
        self.assertEqual(TrainingRun.objects.get(name="verao").spec["learning_rate"], 0.0005)
