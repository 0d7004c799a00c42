from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("generation", "0003_shelves_and_words")]

    operations = [
        migrations.AddConstraint(
            model_name='generatedimage',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('shelf__isnull', True), ('trashed_at__isnull', False)), models.Q(('shelf__isnull', False), ('trashed_at__isnull', True)), _connector='OR'), name='image_is_on_a_shelf_or_in_the_trash'),
        ),
    ]
