"""A download goes on where it stopped, and what is wrong is not kept."""

import hashlib
import http.server
import threading

import pytest

from acprop.runs import UsageError
from acprop.runs.download import download


class Server(http.server.BaseHTTPRequestHandler):
    content = bytes(range(256)) * 40
    asked: list[str | None] = []  # noqa: RUF012

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.end_headers()
        self.wfile.write(self.content[start:])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def url():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Server.asked.clear()
    yield f"http://127.0.0.1:{server.server_port}/file"
    server.shutdown()
    server.server_close()


def test_a_download_goes_on_where_it_stopped(url, tmp_path):
    checksum = hashlib.md5(Server.content).hexdigest()
    (tmp_path / "file.part").write_bytes(Server.content[:1000])
    download("x", [url], tmp_path / "file", checksum)
    assert (tmp_path / "file").read_bytes() == Server.content
    download("x", [url], tmp_path / "file", checksum)
    assert Server.asked == ["bytes=1000-"]


def test_a_wrong_download_is_not_kept(url, tmp_path):
    with pytest.raises(UsageError, match="checksum"):
        download("x", [url], tmp_path / "file", "0" * 32)
    assert not list(tmp_path.glob("file*"))


def test_a_file_with_a_wrong_checksum_is_told_of(tmp_path):
    (tmp_path / "file").write_bytes(b"cut short")
    with pytest.raises(UsageError, match=r"file is there, but its checksum is wrong, and .* could not be fetched"):
        download("x", ["http://127.0.0.1:9/file"], tmp_path / "file", "0" * 32)
    assert (tmp_path / "file").read_bytes() == b"cut short", "it stays until another is whole"
