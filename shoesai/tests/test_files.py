"""Stored bytes."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile

import pytest

from shoesai import files
from shoesai.models import Blob
from shoesai.testing import BaseTestCase


class BlobTests(BaseTestCase):
    def test_the_same_bytes_twice_are_one_blob(self) -> None:
        first, second = files.publish(b"shoe", "image/png"), files.publish(b"shoe", "image/png")
        assert first == second and Blob.objects.count() == 1
        assert files.read(first) == b"shoe"

    def test_a_truncated_file_is_mended_when_its_bytes_come_again(self) -> None:
        blob = files.publish(b"a whole shoe", "image/png")
        files.path_of(blob.sha256).write_bytes(b"a who")
        files.publish(b"a whole shoe", "image/png")
        assert files.read(blob) == b"a whole shoe"

    def test_a_file_that_has_rotted_is_mended_too(self) -> None:
        blob = files.publish(b"a whole shoe", "image/png")
        files.path_of(blob.sha256).write_bytes(b"a whole sh0e")
        files.publish(b"a whole shoe", "image/png")
        assert files.read(blob) == b"a whole shoe"

    def test_a_failed_write_leaves_neither_row_nor_litter(self) -> None:
        data = b"no room"
        with tempfile.TemporaryDirectory() as empty, self.settings(BLOB_DIR=empty):
            folder = files.path_of(hashlib.sha256(data).hexdigest()).parent
            folder.write_text("a file where the folder must be")
            with pytest.raises(OSError, match=r"exists|Not a directory"):
                files.publish(data, "image/png")
            assert os.listdir(empty) == [folder.name]
        assert not Blob.objects.exists()

    def test_stored_files_are_private_to_the_user_who_runs_the_platform(self) -> None:
        blob = files.publish(b"private", "image/png")
        assert stat.S_IMODE(files.path_of(blob.sha256).stat().st_mode) == 0o600
