"""Judges generated pictures by the channels' profiles, here and now."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Count, Q

from evaluation.profiles import PROFILES
from evaluation.verdict_models import ChannelVerdict
from evaluation.verdicts import judge_all, unjudged
from generation.models import GeneratedImage
from shoesai.terminal import DataCommand, say


class Command(DataCommand):
    help = (
        "Judges generated pictures by the channels' profiles: those that were not judged yet, or by older measures or"
        " rules. Says how many of all pictures pass each channel."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--all", action="store_true", help="Judge every picture again.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        images = GeneratedImage.objects.all() if options["all"] else unjudged()
        judged, unreadable = judge_all(images, lambda done, total: None)
        channels = {name: _counts(name) for name in PROFILES}
        if options["json"]:
            self.print_json({"judged": judged, "unreadable": unreadable, "channels": channels})
            return
        for name, counts in channels.items():
            self.stdout.write(f"{name}: {counts['passed']} of {counts['pictures']} pass")
        say(f"{judged} judged, {unreadable} could not be read" if unreadable else f"{judged} judged")


def _counts(profile: str) -> dict[str, int]:
    verdicts = ChannelVerdict.objects.filter(profile=profile)
    return verdicts.aggregate(pictures=Count("pk"), passed=Count("pk", filter=Q(passed=True)))
