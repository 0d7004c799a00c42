"""Tests never touch the studio's data: a data folder of their own, one for each process that runs them.

A pytest plugin (`-p` in pyproject.toml) and no conftest, because pytest-django reads the settings before any conftest.
"""

import atexit
import os
import shutil
import tempfile

if "SHOESAI_DATA_DIR" not in os.environ or "PYTEST_XDIST_WORKER" in os.environ:
    _folder = tempfile.mkdtemp(prefix="shoesai-test-")
    os.environ["SHOESAI_DATA_DIR"] = _folder
    atexit.register(shutil.rmtree, _folder, ignore_errors=True)
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
