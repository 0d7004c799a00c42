"""Puts the pictures that are there on shelves, and makes the search index: FTS5 on SQLite, GIN on PostgreSQL."""

import hashlib
import json
from collections import Counter

from django.db import migrations

from generation.words import plain

SQLITE = (
    """CREATE VIRTUAL TABLE generation_words_fts USING fts5(
        words, content='generation_promptwords', content_rowid='id', tokenize='ascii', prefix='2 3')""",
    """CREATE TRIGGER generation_words_added AFTER INSERT ON generation_promptwords BEGIN
        INSERT INTO generation_words_fts(rowid, words) VALUES (new.id, new.words); END""",
    """CREATE TRIGGER generation_words_gone AFTER DELETE ON generation_promptwords BEGIN
        INSERT INTO generation_words_fts(generation_words_fts, rowid, words) VALUES ('delete', old.id, old.words);
        END""",
    """CREATE TRIGGER generation_words_changed AFTER UPDATE ON generation_promptwords BEGIN
        INSERT INTO generation_words_fts(generation_words_fts, rowid, words) VALUES ('delete', old.id, old.words);
        INSERT INTO generation_words_fts(rowid, words) VALUES (new.id, new.words); END""",
)
POSTGRESQL = (
    """CREATE INDEX generation_words_gin ON generation_promptwords USING gin (to_tsvector('simple', words))
        WITH (fastupdate = off)""",
)


def make_index(apps, schema_editor):
    for statement in SQLITE if schema_editor.connection.vendor == "sqlite" else POSTGRESQL:
        schema_editor.execute(statement)


def drop_index(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        for name in ("added", "gone", "changed"):
            schema_editor.execute(f"DROP TRIGGER generation_words_{name}")
        schema_editor.execute("DROP TABLE generation_words_fts")
    else:
        schema_editor.execute("DROP INDEX generation_words_gin")


def fill(apps, schema_editor):
    generation_model = apps.get_model("generation", "Generation")
    words_model = apps.get_model("generation", "PromptWords")
    image_model = apps.get_model("generation", "GeneratedImage")
    shelf_model = apps.get_model("generation", "Shelf")
    shelves, numbers = {}, Counter()
    for generation in generation_model.objects.order_by("created_at").iterator():
        words_model.objects.create(generation=generation, words=plain(generation.prompt))
        first = generation.loras.order_by("position").select_related("checkpoint__run__dataset_version").first()
        run = first.checkpoint.run if first else None
        for image in generation.images.all():
            same = {
                "owner_id": image.owner_id,
                "team_id": image.team_id,
                "base_model_id": generation.base_model_id,
                "checkpoint_id": first.checkpoint_id if first else None,
                "dataset_id": run.dataset_version.dataset_id if run and run.dataset_version else None,
                "scheduler": generation.scheduler,
                "num_inference_steps": generation.num_inference_steps,
                "width": image.width,
                "height": image.height,
            }
            key = hashlib.sha256(json.dumps(same, sort_keys=True, default=str).encode()).hexdigest()
            if key not in shelves:
                shelves[key] = shelf_model.objects.get_or_create(key=key, defaults=same)[0]
            numbers[key] += 1
            image_model.objects.filter(pk=image.pk).update(shelf=shelves[key])
    for key, number in numbers.items():
        shelf_model.objects.filter(key=key).update(images=number)


class Migration(migrations.Migration):
    dependencies = [("generation", "0002_portal")]

    operations = [
        migrations.RunPython(make_index, drop_index),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
