"""What `check_environment` finds, how it says it, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from django.core.management import CommandError, call_command

from shoesai.management.commands import check_environment
from shoesai.management.commands.check_environment import Check
from shoesai.testing import BaseTestCase


def only(*checks: Check) -> AbstractContextManager[object]:
    """The command with these lines for its table of checks."""

    def row() -> Iterator[Check]:
        yield from checks

    return patch.object(check_environment, "CHECKS", (row,))


GOOD = Check("Python", True, "3.11.7", "Use Python 3.11.")
BAD = Check("Database", False, "sqlite, 3 migrations pending", "Run `manage.py migrate`.")
OPTIONAL = Check("Chromium", False, "not found", "Only the browser tests need it.", required=False)


class CheckEnvironmentTest(BaseTestCase):
    def run_it(self, **options: object) -> str:
        out = StringIO()
        try:
            call_command("check_environment", stdout=out, **options)
        finally:
            self.printed = out.getvalue()
        return self.printed

    def test_each_line_has_a_mark_and_a_remedy_where_one_is_needed(self) -> None:
        with only(GOOD, OPTIONAL):
            lines = self.run_it().splitlines()
        self.assertEqual(lines[0], "✓ Python                 3.11.7")
        self.assertEqual(lines[1], "– Chromium               not found")
        self.assertIn("→ Only the browser tests need it.", lines[2])

    def test_something_missing_ends_with_1_and_all_lines_are_told(self) -> None:
        with only(BAD, GOOD), self.assertRaises(CommandError) as caught:
            self.run_it(json=True)
        self.assertEqual(caught.exception.returncode, 1)
        printed = json.loads(self.printed)
        self.assertFalse(printed["ok"])
        self.assertEqual([row["name"] for row in printed["checks"]], ["Database", "Python"])
        self.assertEqual(printed["checks"][0]["remedy"], "Run `manage.py migrate`.")

    def test_pins_are_read_from_the_requirements(self) -> None:
        text = "# talk\ntorch==2.14.1\npsycopg[binary]==3.3.9  # server\ndjango>=5\n"
        self.assertEqual(check_environment._pinned(text), {"torch": "2.14.1", "psycopg": "3.3.9"})

    def test_a_package_of_another_version_and_a_missing_one_are_named(self) -> None:
        versions = {"torch": "2.13.0"}
        with (
            patch.object(check_environment, "_version", lambda name: versions.get(name, "")),
            patch.object(check_environment, "_pinned", lambda _: {"torch": "2.14.1", "torchvision": "0.29.1"}),
        ):
            (packages,) = check_environment.check_packages()
            (pair,) = check_environment.check_torch_pair()
        self.assertFalse(packages.ok or pair.ok)
        self.assertIn("torch 2.13.0 instead of 2.14.1; torchvision is missing instead of 0.29.1", packages.found)

    def test_a_cpu_build_beside_another_build_is_no_pair(self) -> None:
        for builds, ok in ((("2.14.1+cpu", "0.29.1"), False), (("2.14.1+cpu", "0.29.1+cpu"), True)):
            versions = dict(zip(("torch", "torchvision"), builds, strict=True))
            with (
                patch.object(check_environment, "_version", versions.__getitem__),
                patch.object(check_environment, "_pinned", lambda _: {"torch": "2.14.1", "torchvision": "0.29.1"}),
            ):
                (pair,) = check_environment.check_torch_pair()
            self.assertEqual(pair.ok, ok)

    def test_the_database_and_the_data_folder_of_the_tests_are_fine(self) -> None:
        for check in (*check_environment.check_database(), *check_environment.check_data_folder()):
            self.assertTrue(check.ok, check)

    def test_a_data_folder_that_cannot_be_written_names_the_setting(self) -> None:
        with self.settings(DATA_DIR=Path("/nowhere/at/all")):
            (check,) = check_environment.check_data_folder()
        self.assertFalse(check.ok)
        self.assertIn("SHOESAI_DATA_DIR", check.remedy)
