"""Stacks take the place of PromptWords, and the search index with them: FTS5 on SQLite, GIN on PostgreSQL."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Count
from django.db.models.functions import TruncDate

import generation.words
from generation.words import plain

SQLITE = (
    """CREATE VIRTUAL TABLE generation_stack_fts USING fts5(
        words, content='generation_stack', content_rowid='id', tokenize='ascii', prefix='2 3')""",
    """CREATE TRIGGER generation_stack_added AFTER INSERT ON generation_stack BEGIN
        INSERT INTO generation_stack_fts(rowid, words) VALUES (new.id, new.words); END""",
    """CREATE TRIGGER generation_stack_gone AFTER DELETE ON generation_stack BEGIN
        INSERT INTO generation_stack_fts(generation_stack_fts, rowid, words) VALUES ('delete', old.id, old.words);
        END""",
    """CREATE TRIGGER generation_stack_changed AFTER UPDATE OF words ON generation_stack BEGIN
        INSERT INTO generation_stack_fts(generation_stack_fts, rowid, words) VALUES ('delete', old.id, old.words);
        INSERT INTO generation_stack_fts(rowid, words) VALUES (new.id, new.words); END""",
)
POSTGRESQL = (
    # Stored, so that phrases are checked without reading the text again.
    """ALTER TABLE generation_stack ADD COLUMN vector tsvector
        GENERATED ALWAYS AS (to_tsvector('simple', words)) STORED""",
    "CREATE INDEX generation_stack_gin ON generation_stack USING gin (vector) WITH (fastupdate = off)",
)
OLD_SQLITE = (
    "DROP TRIGGER generation_words_added",
    "DROP TRIGGER generation_words_gone",
    "DROP TRIGGER generation_words_changed",
    "DROP TABLE generation_words_fts",
)
def fill(apps):
    image_model = apps.get_model("generation", "GeneratedImage")
    stack_model = apps.get_model("generation", "Stack")
    standing = image_model.objects.filter(shelf__isnull=False).order_by()
    counted = standing.annotate(day=TruncDate("created_at")).values_list(
        "generation", "shelf", "day", "generation__prompt"
    )
    waiting = []
    for generation_id, shelf, day, prompt, number in counted.annotate(Count("pk")).iterator(5000):
        words = plain(prompt)
        waiting.append(
            stack_model(generation_id=generation_id, shelf_id=shelf, day=day, words=words, images=number)
        )
    stack_model.objects.bulk_create(waiting, batch_size=2000)


def make_index(apps, schema_editor):
    on_sqlite = schema_editor.connection.vendor == "sqlite"
    for statement in (*SQLITE, *OLD_SQLITE) if on_sqlite else POSTGRESQL:
        schema_editor.execute(statement)
    fill(apps)


class Migration(migrations.Migration):
    dependencies = [("generation", "0005_uploads_and_kept_recreations")]

    operations = [
        migrations.CreateModel(
            name="Stack",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("words", generation.words.WordsField()),
                ("images", models.PositiveIntegerField(default=0)),
                ("day", models.DateField(help_text="In the site's time zone.")),
                (
                    "generation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="stacks",
                        to="generation.generation",
                    ),
                ),
                (
                    "shelf",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="stacks", to="generation.shelf"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["day", "shelf", "images"], name="stack_of_day")],
                "constraints": [models.UniqueConstraint(fields=("generation", "shelf", "day"), name="one_stack_per_day")],
            },
        ),
        migrations.RunPython(make_index, migrations.RunPython.noop),
        migrations.DeleteModel(name="PromptWords"),
    ]
