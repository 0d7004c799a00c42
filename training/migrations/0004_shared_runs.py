from django.db import migrations, models


def share_what_was_found(apps, schema_editor):
    """Until now every imported run came from MODELS_DIR, where the operator had put it for everybody."""
    apps.get_model("training", "TrainingRun").objects.filter(state="imported").update(shared=True)


class Migration(migrations.Migration):
    dependencies = [("training", "0003_pipeline")]

    operations = [
        migrations.AddField(
            model_name="trainingrun",
            name="shared",
            field=models.BooleanField(default=False, help_text="Found in MODELS_DIR, so everybody may use it."),
        ),
        migrations.RunPython(share_what_was_found, migrations.RunPython.noop),
    ]
