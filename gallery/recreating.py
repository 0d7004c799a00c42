"""How far the proof of a picture is, as its page shows it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from generation.models import GeneratedImage, Recreation
from generation.recreating import words_of
from shoesai.templatetags.portal import doing


@dataclass(frozen=True)
class RecreationState:
    """`recreation` is None until somebody has asked for one; `problem` says why a wish was refused."""

    image: GeneratedImage
    recreation: Recreation | None
    problem: str = ""

    @property
    def doing(self) -> str:
        if self.recreation is None:
            return ""
        self.recreation.job.progress_message = ""  # it counts the pictures of a batch, of which one is looked at
        return doing(self.recreation.job)

    @property
    def reasons(self) -> list[str]:
        return words_of(self.recreation) if self.recreation and self.recreation.verdict else []

    @property
    def etag(self) -> str:
        one = self.recreation
        seen = f"{one.pk} {one.job.state} {self.doing} {one.verdict} {one.blob_id}" if one else ""
        return f'"{hashlib.sha256(seen.encode()).hexdigest()[:20]}"'
