"""The pictures of a collection are read in their order, and its cover is the first ones."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gallery", "0001_portal")]

    operations = [
        migrations.AddIndex(
            model_name="collectionitem",
            index=models.Index(fields=["collection", "position", "id"], name="collection_order"),
        ),
    ]
