"""Hashes of files."""

from hocbench.files.checksums import file_hash


def test_file_hash_is_sha256(tmp_path):
    (tmp_path / "empty").touch()
    assert file_hash(tmp_path / "empty").startswith("e3b0c44298fc1c14")
