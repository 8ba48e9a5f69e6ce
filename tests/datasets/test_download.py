import hashlib
import json
import logging

import numpy as np
import pytest

from hocbench.datasets import download
from hocbench.datasets.download import PASSWORD, PATIENCE, TOKEN, USER, Item, fetch
from hocbench.errors import FetchError
from tests.datasets.server import running
from tests.datasets.test_extract import FILES, write

CONTENT = np.random.default_rng(0).bytes(500_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch):
    for name in (USER, PASSWORD, TOKEN, "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with running() as server:
        server.files["/list.csv"] = CONTENT
        yield server


@pytest.fixture
def root(tmp_path):
    return tmp_path / "copy"


QUICK = PATIENCE.new(total=2, backoff_factor=0)
IMPATIENT = PATIENCE.new(total=0)


def refusal(root, items, patience=QUICK):
    with pytest.raises(FetchError) as error:
        fetch(root, items, patience)
    assert not (root / "FETCHED.json").exists()
    return str(error.value)


def item(server, path="/list.csv", sha256=None):
    return Item(server.address + path, sha256)


@pytest.mark.parametrize("sha256", [None, DIGEST, DIGEST.upper()])
def test_a_file_is_fetched_checked_and_marked(server, root, sha256):
    fetch(root, [item(server, sha256=sha256)], QUICK)
    assert (root / "list.csv").read_bytes() == CONTENT
    marker = json.loads((root / "FETCHED.json").read_text())
    assert marker == {"files": [{"name": "list.csv", "sha256": DIGEST, "bytes": len(CONTENT)}]}
    assert sorted(path.name for path in root.iterdir()) == ["FETCHED.json", "list.csv"]


def test_a_fetch_that_fails_leaves_the_copy_and_its_marker(server, root):
    fetch(root, [item(server)], QUICK)
    before = {path.name: path.read_bytes() for path in root.iterdir()}
    with pytest.raises(FetchError):
        fetch(root, [item(server), item(server, "/other.csv")], QUICK)
    assert {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()} == before


def test_an_archive_is_unpacked_into_the_folder(server, root, tmp_path):
    server.files["/data.zip"] = write(tmp_path / "data.zip", FILES).read_bytes()
    fetch(root, [item(server, "/data.zip"), item(server)], QUICK)
    assert {name: (root / name).read_bytes() for name in FILES} == FILES
    assert not (root / "data.zip").exists()
    assert (root / "list.csv").is_file()


def test_a_file_address_is_copied(root, tmp_path):
    source = tmp_path / "with space.csv"
    source.write_bytes(CONTENT)
    fetch(root, [Item(source.as_uri(), DIGEST)], QUICK)
    assert (root / "with space.csv").read_bytes() == CONTENT


def test_a_password_comes_from_the_environment_and_appears_nowhere(server, root, monkeypatch, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    server.password = "lab:s3cret!word"
    text = refusal(root, [item(server)])
    assert text == (
        f"{server.address}/list.csv: the server answers 401, you are not admitted; "
        f"set {USER} and {PASSWORD}, or {TOKEN}, in the environment"
    )
    assert len(server.seen) == 1
    monkeypatch.setenv(USER, "lab")
    monkeypatch.setenv(PASSWORD, "s3cret!word")
    fetch(root, [item(server)], QUICK)
    assert (root / "list.csv").read_bytes() == CONTENT
    written = "".join(path.read_text() for path in root.rglob("*.json"))
    printed = capfd.readouterr()
    assert "s3cret" not in caplog.text + written + printed.out + printed.err


def test_a_token_is_sent(server, root, monkeypatch):
    monkeypatch.setenv(TOKEN, "abc")
    fetch(root, [item(server)], QUICK)
    assert server.seen[-1][1]["Authorization"] == "Bearer abc"


@pytest.mark.parametrize("credentials", [{USER: "lab", PASSWORD: "pw"}, {TOKEN: "abc"}])
def test_another_host_gets_the_request_without_the_password(server, root, monkeypatch, credentials):
    for name, value in credentials.items():
        monkeypatch.setenv(name, value)
    with running() as other:
        other.files["/list.csv"] = CONTENT
        # Another port is another host; so is another name of the same machine.
        server.behaviour["/list.csv"] = f"to http://localhost:{other.server_port}/list.csv"
        fetch(root, [item(server)], QUICK)
        assert (root / "list.csv").read_bytes() == CONTENT
        assert "Authorization" in server.seen[0][1]
        assert "Authorization" not in other.seen[0][1]


def test_a_missing_file_is_named_at_once(server, root):
    text = refusal(root, [item(server, "/absent.zip")])
    assert text == (
        f"{server.address}/absent.zip: the server answers 404, there is no such file; ask for the new address"
    )
    assert len(server.seen) == 1


def test_a_failing_server_is_asked_again(server, root):
    server.behaviour["/list.csv"] = [500, 503]
    fetch(root, [item(server)], QUICK)
    assert (root / "list.csv").read_bytes() == CONTENT
    assert len(server.seen) == 3


def test_a_server_that_keeps_failing_is_given_up(server, root):
    server.behaviour["/list.csv"] = [500] * 3
    text = refusal(root, [item(server)])
    assert text.startswith(f"{server.address}/list.csv: the server answers 500, 3 times; what came so far is kept")


def test_a_body_that_was_cut_short_goes_on_where_it_ended(server, root):
    server.behaviour["/list.csv"] = ["cut", "cut"]
    fetch(root, [item(server, sha256=DIGEST)], QUICK)
    assert (root / "list.csv").read_bytes() == CONTENT
    ranges = [headers.get("Range") for _, headers in server.seen]
    assert ranges[0] is None
    # What came is kept but for a block that was not whole.
    starts = [int(each.removeprefix("bytes=").rstrip("-")) for each in ranges[1:]]
    assert 2 * 10**5 - 2**16 < starts[0] <= 250_000 < starts[1] <= 375_000


def test_another_start_goes_on_where_the_last_one_ended(server, root):
    server.behaviour["/list.csv"] = ["cut"]
    refusal(root, [item(server)], IMPATIENT)
    fetch(root, [item(server)], QUICK)
    assert (root / "list.csv").read_bytes() == CONTENT
    assert "Range" in server.seen[-1][1]


def test_a_file_that_changed_in_between_is_fetched_anew(server, root):
    server.behaviour["/list.csv"] = ["cut"]
    refusal(root, [item(server)], IMPATIENT)
    server.files["/list.csv"] = CONTENT[::-1]
    fetch(root, [item(server)], QUICK)
    assert (root / "list.csv").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("then", ["no ranges", 416])
def test_a_server_without_ranges_sends_all_again(server, root, then):
    server.behaviour["/list.csv"] = ["cut", then]
    fetch(root, [item(server, sha256=DIGEST)], QUICK)
    assert (root / "list.csv").read_bytes() == CONTENT


def test_a_file_without_version_is_not_pieced_together(server, root):
    server.behaviour["/list.csv"] = ["no version"]
    fetch(root, [item(server)], QUICK)
    assert (root / "list.csv").read_bytes() == CONTENT
    assert "Range" not in server.seen[-1][1]


def test_a_wrong_checksum_is_refused_and_nothing_of_it_kept(server, root):
    wrong = "0" * 64
    text = refusal(root, [item(server, sha256=wrong)])
    assert text == (
        f"{server.address}/list.csv is not the file that was expected: its sha256 is not {wrong}; "
        "nothing of it was kept. Compare the checksum with the one of your source, then fetch again"
    )
    assert [path for path in root.rglob("*") if path.is_file()] == []


def test_a_page_in_the_place_of_an_archive_is_fetched_anew_next_time(server, root, tmp_path):
    server.files["/data.zip"] = b"<html>log in first</html>"
    text = refusal(root, [item(server, "/data.zip")])
    assert "cannot be unpacked (File is not a zip file); fetch it again" in text
    server.files["/data.zip"] = write(tmp_path / "data.zip", FILES).read_bytes()
    fetch(root, [item(server, "/data.zip")], QUICK)
    assert (root / "a.txt").is_file()


def test_a_file_of_the_same_name_from_elsewhere_is_another_file(server, root):
    server.files["/old/list.csv"] = b"old"
    refusal(root, [item(server, "/old/list.csv"), item(server, "/absent")])
    fetch(root, [item(server)], QUICK)
    assert (root / "list.csv").read_bytes() == CONTENT


def test_a_password_of_netrc_is_not_used(server, root, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login lab password from-netrc\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv(TOKEN, "abc")
    fetch(root, [item(server)], QUICK)
    assert server.seen[-1][1]["Authorization"] == "Bearer abc"


def test_a_server_that_redirects_for_ever_is_left(server, root):
    server.behaviour["/list.csv"] = f"to {server.address}/list.csv"
    text = refusal(root, [item(server)])
    assert text == f"{server.address}/list.csv cannot be fetched (TooManyRedirects); check the address"


def test_what_came_before_a_failure_stays(server, root):
    server.files["/first.bin"] = b"first"
    refusal(root, [item(server, "/first.bin"), item(server, "/absent")])
    fetch(root, [item(server, "/first.bin"), item(server)], QUICK)
    assert [path for path, _ in server.seen].count("/first.bin") == 1
    assert (root / "first.bin").read_bytes() == b"first"


def test_a_slow_server_is_waited_for(server, root, monkeypatch):
    monkeypatch.setattr(download, "SILENCE_S", 5)
    server.behaviour["/list.csv"] = ["slow"]
    fetch(root, [item(server, sha256=DIGEST)], QUICK)
    assert (root / "list.csv").read_bytes() == CONTENT
    assert len(server.seen) == 1


def test_a_silent_server_is_left_and_asked_again(server, root, monkeypatch):
    monkeypatch.setattr(download, "SILENCE_S", 0.3)
    server.behaviour["/list.csv"] = ["silent"]
    fetch(root, [item(server)], QUICK)
    assert (root / "list.csv").read_bytes() == CONTENT
    assert len(server.seen) == 2


def test_no_server_at_all_is_named_and_the_log_leaves_out_what_is_signed(root, caplog):
    caplog.set_level(logging.INFO)
    with running() as gone:
        address = gone.address
    text = refusal(root, [Item(f"{address}/x.zip?signature=s3cret")])
    assert text.startswith(f"{address}/x.zip: no connection, 3 times; ")
    assert [record.message for record in caplog.records] == ["x.zip: no connection; again in 0 s"] * 2


def test_the_first_new_request_follows_at_once_and_later_ones_after_longer_and_longer():
    waits, left = [], PATIENCE
    while left.total:
        left = left.increment("GET", "/x", error=OSError())
        waits.append(left.get_backoff_time())
    assert waits == [0, 10, 20]


@pytest.mark.parametrize(
    ("urls", "text"),
    [
        ([], "nothing to fetch; give at least one address"),
        (["ftp://host/x.zip"], "ftp://host/x.zip is no http, https or file address; give one of these"),
        (["x.zip"], "x.zip is no http, https or file address; give one of these"),
        (["https:///x.zip"], "https:///x.zip is no http, https or file address; give one of these"),
        (["http://[::1/x.zip"], "an address cannot be read (Invalid IPv6 URL); give it as your source did"),
        (["http://host/"], "http://host/ names no file; give the address of a file"),
        (["http://a/x", "http://b/x"], "x is the name of two of the files; fetch them into two folders"),
        (
            ["http://lab:pw@host/x.zip"],
            "the address of x.zip holds a user or password, which would end up in logs; "
            f"put them into the environment as {USER} and {PASSWORD}",
        ),
    ],
)
def test_a_bad_address_is_refused_before_anything_is_fetched(root, urls, text):
    assert refusal(root, [Item(url) for url in urls]) == text
    assert not root.exists()


def test_a_checksum_that_is_none_is_refused(root, server):
    text = refusal(root, [item(server, sha256="12ab")])
    assert text == "the checksum '12ab' of list.csv is not 64 hexadecimal digits; correct it"


def test_a_password_is_never_sent_unencrypted(root, monkeypatch):
    monkeypatch.setenv(USER, "lab")
    text = refusal(root, [Item("http://example.org/x.zip?signature=secret")])
    assert text == "http://example.org/x.zip would send your password unencrypted; use https"


def test_a_file_in_the_place_of_the_folder_is_named(root, server):
    root.write_text("x")
    with pytest.raises(FetchError, match="is a file; give a folder"):
        fetch(root, [item(server)], QUICK)


def test_an_absent_local_file_is_named(root, tmp_path):
    text = refusal(root, [Item((tmp_path / "absent.zip").as_uri())])
    assert text == f"{tmp_path / 'absent.zip'} cannot be copied (No such file or directory); check the address"
