"""One settings file, driven by the environment; production-safe when SHOESAI_DEBUG is off.

SHOESAI_DATA_DIR moves all state (default `var/`), DATABASE_URL chooses PostgreSQL, SHOESAI_SECRET_KEY must be given
in production (otherwise a random one is made once and kept in the data folder).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from environs import Env

env = Env()

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.str("SHOESAI_DATA_DIR", str(BASE_DIR / "var"))).expanduser().resolve()
BLOB_DIR = DATA_DIR / "blobs"
WORK_DIR = DATA_DIR / "work"
RUN_DIR = DATA_DIR / "run"
LOG_DIR = DATA_DIR / "logs"
CACHE_DIR = DATA_DIR / "cache"  # what can be computed again: latents and text embeddings of trainings
# A folder in the seed's output layout: <run>/checkpoints/checkpoint-N/*.safetensors
MODELS_DIR = Path(env.str("MODELS_DIR", str(DATA_DIR / "models"))).expanduser().resolve()
for _folder in (BLOB_DIR, WORK_DIR, RUN_DIR, LOG_DIR, CACHE_DIR, DATA_DIR / "static"):
    if _folder.is_symlink() and not _folder.exists():  # see move_storage; an empty store must not begin in its place
        raise ImproperlyConfigured(f"{_folder} leads to {_folder.readlink()}, which is not there: mount that disk.")
    _folder.mkdir(parents=True, exist_ok=True)

DEBUG = env.bool("SHOESAI_DEBUG", False)
ALLOWED_HOSTS = env.list("SHOESAI_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("SHOESAI_TRUSTED_ORIGINS", [])


def _kept_secret_key() -> str:
    """Without SHOESAI_SECRET_KEY: one random key per data folder, so that sessions and queues survive a restart."""
    path = DATA_DIR / "secret_key"
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=DATA_DIR, prefix=".secret_key-") as file:  # readable by us only
            file.write(secrets.token_urlsafe(50))
            file.flush()
            with contextlib.suppress(FileExistsError):  # another process was first; its key stands
                os.link(file.name, path)
    return path.read_text()


SECRET_KEY = env.str("SHOESAI_SECRET_KEY", "") or _kept_secret_key()

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "django_htmx",
    "django_q",
    "axes",
    "shoesai",
    "training",
    "generation",
    "gallery",
    "evaluation",
]

MIDDLEWARE = [
    "shoesai.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "shoesai.middleware.UserLanguageMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "shoesai.urls"
WSGI_APPLICATION = "shoesai.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- database ---------------------------------------------------------------------------------------------------
# WAL + IMMEDIATE + a long timeout: with Django's defaults two writers already meet "database is locked".
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
}
DATABASES: dict[str, Any] = {
    "default": env.dj_db_url("DATABASE_URL", f"sqlite:///{DATA_DIR / 'shoesai.sqlite3'}", conn_max_age=60)
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = SQLITE_OPTIONS
    # A file and not memory, so that a test's real worker sees the same database.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
else:
    # Compiling a query takes longer than any of ours runs; 4 MB makes lists of a million pictures spill to disk.
    DATABASES["default"].setdefault("OPTIONS", {}).setdefault("options", "-c jit=off -c work_mem=32MB")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# File-based, because web and workers are separate processes and nothing here may depend on Redis.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": str(DATA_DIR / "cache"),
    }
}

# --- captions ---------------------------------------------------------------------------------------------------
# A captioning model of transformers (BLIP and its like): a folder, or a hub id whose files are on the worker's machine.
CAPTION_MODEL = env.str("SHOESAI_CAPTION_MODEL", "")
# The standard extractors' weights: a folder of CLIP ViT-B/32 and pytorch-fid's file of Inception-v3, with their hashes
CLIP, CLIP_SHA256 = env.str("SHOESAI_CLIP", ""), env.str("SHOESAI_CLIP_SHA256", "")
INCEPTION, INCEPTION_SHA256 = env.str("SHOESAI_INCEPTION", ""), env.str("SHOESAI_INCEPTION_SHA256", "")
CAPTION_CLIP = str(BASE_DIR / "shoesai" / "starter" / "weights" / "clip")

# --- jobs -------------------------------------------------------------------------------------------------------
# django-q2 is the doorbell, shoesai.Job is the truth. One cluster per lane, one worker each. `retry` is far above
# the longest job, because the broker hands a task out again when it has passed.
JOB_LANES = ("gpu", "cpu")
DOORBELL_RETRY_SECONDS = 2**31 - 1
_CLUSTER = {
    "workers": 1,
    "queue_limit": 1,
    "bulk": 1,
    "recycle": 1_000_000,
    "timeout": 2**30,  # never: our own heartbeats decide
    "retry": DOORBELL_RETRY_SECONDS,
    "max_attempts": 1,
    "ack_failures": True,
    "save_limit": 50,
    "poll": 0.05,
    "guard_cycle": 0.5,
    "catch_up": False,
    "daemonize_workers": False,
}
Q_CLUSTER = {
    "name": "gpu",
    "orm": "default",
    "label": "django-q2",
    "log_level": "WARNING",
    "scheduler": False,
    **_CLUSTER,
    "ALT_CLUSTERS": dict.fromkeys(JOB_LANES, _CLUSTER),
}
JOB_LOST_AFTER_SECONDS = env.float("SHOESAI_JOB_LOST_AFTER", 60)
JOB_MAX_LOST_ATTEMPTS = 3
JOB_MAX_QUEUED_PER_USER = env.int("SHOESAI_MAX_QUEUED_PER_USER", 100)
CANARY_EVERY_SECONDS = 60
CANARY_STALE_SECONDS = 180
DRAIN_SECONDS = 30
# What starts the engine, before `-m shoesai.engine`: `accelerate launch --num_processes 4` trains on four GPUs.
ENGINE_LAUNCHER = shlex.split(env.str("SHOESAI_ENGINE_LAUNCHER", "")) or [sys.executable]
SHOESAI_DEVICE = env.str("SHOESAI_DEVICE", "auto")
TRASH_DAYS = env.int("SHOESAI_TRASH_DAYS", 30)

# --- people and security ----------------------------------------------------------------------------------------
AUTH_USER_MODEL = "shoesai.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
SIGNUP = env.bool("SHOESAI_SIGNUP", False)  # may strangers make an account of their own?
PASSWORD_RESET_TIMEOUT = 3 * 24 * 3600
# Five wrong passwords for one name from one address close that pair for a quarter of an hour. The API has no passwords.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = env.int("SHOESAI_SIGN_IN_ATTEMPTS", 5)
AXES_COOLOFF_TIME = timedelta(minutes=env.int("SHOESAI_SIGN_IN_WAIT_MINUTES", 15))
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # the wait that was told stays true
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_CALLABLE = "shoesai.door.locked_out"
AXES_CLIENT_IP_CALLABLE = "shoesai.door.address_of"
AXES_DISABLE_ACCESS_LOG = True  # who signed in from where is nobody's business
AXES_VERBOSE = False
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_HTTPONLY = True
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# On when the site stands behind HTTPS; `manage.py serve` on a laptop is plain HTTP.
HTTPS_ONLY = env.bool("SHOESAI_HTTPS", False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS_ONLY
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS_ONLY else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS_ONLY
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS_ONLY else None
# How many proxies of our own stand in front, each of which appends to X-Forwarded-For.
PROXIES = env.int("SHOESAI_PROXIES", 1 if HTTPS_ONLY else 0)
# What one user's pictures may take on the disk, in bytes; 0 is no limit.
STORAGE_QUOTA = env.int("SHOESAI_STORAGE_QUOTA", 0)

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:", "blob:"],
        "style-src": ["'self'"],
        "script-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}

# --- API --------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "shoesai.auth.ApiTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "shoesai.problems.problem_handler",
}
KNOX_TOKEN_MODEL = "shoesai.ApiToken"
# knox's own migrations create its token table even when the model is swapped; nobody wants a table beside ours.
MIGRATION_MODULES = {"knox": None}
TOKEN_LIFETIME = timedelta(days=90)
REST_KNOX = {
    "TOKEN_PREFIX": "shoe_",
    "TOKEN_TTL": TOKEN_LIFETIME,
    "AUTH_HEADER_PREFIX": "Token",
    "TOKEN_MODEL": "shoesai.ApiToken",
}
SPECTACULAR_SETTINGS = {
    "ENUM_NAME_OVERRIDES": {
        "JobState": "shoesai.models.Job.State",
        "RunState": "training.models.TrainingRun.State",
    },
    "TITLE": "Shoes AI Generator API",
    "DESCRIPTION": "Generate catalogue-ready shoe pictures, train LoRAs, list models, follow jobs.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENFORCE_NON_BLANK_FIELDS": True,
}

# --- e-mail -----------------------------------------------------------------------------------------------------
# Without a mail server, what would be sent is written to the log of the process that sends it.
EMAIL_HOST = env.str("SHOESAI_EMAIL_HOST", "")
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"
EMAIL_PORT = env.int("SHOESAI_EMAIL_PORT", 587)
EMAIL_HOST_USER = env.str("SHOESAI_EMAIL_USER", "")
EMAIL_HOST_PASSWORD = env.str("SHOESAI_EMAIL_PASSWORD", "")
EMAIL_USE_TLS = env.bool("SHOESAI_EMAIL_USE_TLS", True)
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env.str("SHOESAI_EMAIL_FROM", "shoesai@localhost")
SITE_URL = env.str("SHOESAI_SITE_URL", "http://127.0.0.1:8011").rstrip("/")  # for links in e-mail

# --- language, time, static -------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
# Each in its own words; `make messages` brings the catalogues in locale/ up to date.
LANGUAGES = [("en", "English"), ("pt-br", "Português (Brasil)")]
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_SECURE = HTTPS_ONLY
# Numbers that people read are grouped by the filter `number`. Grouped everywhere, seeds and attributes would break.
USE_THOUSAND_SEPARATOR = False
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = env.str("SHOESAI_TIME_ZONE", "UTC")
USE_TZ = True
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = DATA_DIR / "static"
WHITENOISE_USE_FINDERS = True  # a laptop needs no collectstatic
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000  # so many pictures can be ticked one by one
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FILES = 2_000  # photos in one form; the page's module sends them one by one
FILE_UPLOAD_TEMP_DIR = str(WORK_DIR)  # /tmp may be memory

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": env.str("SHOESAI_LOG_LEVEL", "WARNING")},
}
