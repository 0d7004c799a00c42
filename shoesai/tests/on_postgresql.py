"""Repeats the database-sensitive tests on PostgreSQL when one is reachable: `python -m shoesai.tests.on_postgresql`.

SHOESAI_TEST_POSTGRESQL names another server; SHOESAI_REQUIRE_POSTGRESQL=1 makes a missing one an error.
"""

from __future__ import annotations

import os
import subprocess
import sys

import psycopg

DEFAULT_URL = "postgres://postgres@127.0.0.1:5432/postgres"
SENSITIVE = [
    "shoesai/tests/test_queue.py", "training/tests", "generation/tests", "gallery/tests",
    *(f"evaluation/tests/test_{name}.py" for name in ("api", "court", "mending", "verdicts")),
]  # fmt: skip
# These spend their time in the engine, on files and in pages, and ask nothing of a database that others do not.
ELSEWHERE = [
    f"training/tests/test_{name}.py"
    for name in (
        "base_models", "charts", "doctor_measured", "exports", "importers", "lora_commands", "terminal_alone", "work",
    )
]
SIDE_BY_SIDE = ["--numprocesses", "2", "--dist", "loadfile"]
QUICK = "not slow and not browser and not cluster"


def main() -> int:
    url = os.environ.get("SHOESAI_TEST_POSTGRESQL", DEFAULT_URL)
    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.OperationalError as error:
        print(f"PostgreSQL is not reachable, so its repetition of the tests is skipped: {str(error).splitlines()[0]}")
        return 1 if os.environ.get("SHOESAI_REQUIRE_POSTGRESQL") else 0
    command = [sys.executable, "-m", "pytest", "-m", QUICK, "--timeout", "300", *SIDE_BY_SIDE, *SENSITIVE]
    command += [f"--ignore={path}" for path in ELSEWHERE]
    return subprocess.run([*command, *sys.argv[1:]], env={**os.environ, "DATABASE_URL": url}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
