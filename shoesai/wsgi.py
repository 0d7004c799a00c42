import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shoesai.settings")
application = get_wsgi_application()

# What is loaded now stays for good. Looking through all of it for garbage takes 80 ms, in the middle of some request.
get_resolver().url_patterns  # noqa: B018 -- loads every view
gc.collect()
gc.freeze()
