from django.apps import AppConfig


class ShoesaiConfig(AppConfig):
    name = "shoesai"
    verbose_name = "Shoes AI"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from shoesai.jobs import lifeline

        lifeline.connect()
