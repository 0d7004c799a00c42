"""The base model named `starter` exists after `migrate`."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def add_starter(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("training", "BaseModel").objects.get_or_create(
        name="starter",
        defaults={
            "title": "Starter (drawn shoes, 128 px)",
            "family": "starter",
            "format": "builtin",
            "resolution": 128,
            "guidance_scale": 3.0,
            "license_note": "MIT, trained by this project on its own drawings.",
        },
    )


class Migration(migrations.Migration):
    dependencies = [("training", "0001_initial")]
    operations = [migrations.RunPython(add_starter, migrations.RunPython.noop)]
