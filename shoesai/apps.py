from typing import Any

from django.apps import AppConfig
from django.core.signals import request_finished
from django.utils import translation


class ShoesaiConfig(AppConfig):
    name = "shoesai"
    verbose_name = "Shoes AI"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from shoesai.jobs import lifeline

        lifeline.connect()
        request_finished.connect(_forget_language, dispatch_uid="shoesai.language")


def _forget_language(**_: Any) -> None:
    """What a thread does next does not begin in the language of whoever it served last."""
    translation.deactivate()
