"""GET /api/images: the gallery's filter, for programs."""

from __future__ import annotations

from typing import Any

from shoesai.testing import BaseTestCase, finished_generation
from shoesai.tests.api_client import client_of, fields_of


class ImageListTest(BaseTestCase):
    def listed(self, query: str = "", user: Any = None) -> Any:
        return client_of(user or self.alice, "read").get(f"/api/images{query}")

    def test_it_lists_ones_own_and_ones_teams_pictures_page_by_page(self) -> None:
        finished_generation(self.alice, pictures=3)
        finished_generation(self.bob, pictures=2)
        finished_generation(self.charlie)
        first = self.listed("?limit=2").json()
        self.assertEqual((len(first["images"]), first["total"]), (2, 5))
        seen, following = [image["id"] for image in first["images"]], first["next"]
        while following:
            page = client_of(self.alice).get(following).json()
            seen += [image["id"] for image in page["images"]]
            following = page["next"]
        self.assertEqual((len(seen), len(set(seen))), (5, 5))
        self.assertEqual(self.listed(user=self.charlie).json()["total"], 1)

    def test_the_search_is_that_of_the_page(self) -> None:
        red = finished_generation(self.alice, prompt="red sneakers", num_inference_steps=50).images.get()
        finished_generation(self.alice, prompt="red boots", num_inference_steps=25)
        finished_generation(self.alice, prompt="blue boots", scheduler="euler")
        self.assertEqual([row["id"] for row in self.listed("?q=red+steps:>30").json()["images"]], [str(red.pk)])
        self.assertEqual(self.listed("?scheduler=euler&scheduler=ddim").json()["total"], 3)
        self.assertEqual(self.listed("?sort=oldest").json()["images"][0]["id"], str(red.pk))

    def test_what_cannot_be_understood_is_refused_by_name(self) -> None:
        for query, field in (("?q=steps:many", "q"), ("?sort=pretty", "sort"), ("?cursor=7", "cursor"),
                             ("?limit=0", "limit"), ("?q=colour:red", "q"), ("?collection=7", "q"),
                             ("?favourite=perhaps", "favourite"), ("?collection=", "collection")):  # fmt: skip
            response = self.listed(query)
            self.assertEqual((response.status_code, list(fields_of(response))), (400, [field]), query)

    def test_a_long_list_costs_few_queries(self) -> None:
        finished_generation(self.alice, pictures=9)
        client = client_of(self.alice)
        client.get("/api/images")  # notes the token's use
        with self.assertNumQueries(7):
            client.get("/api/images")
