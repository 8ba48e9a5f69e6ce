"""A real HTTP server on this machine that misbehaves as asked."""

import base64
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Serves files from memory; ``behaviour`` maps paths to what goes wrong."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.behaviour, self.seen, self.password = {}, {}, [], None

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """Clients that hang up are what some tests are about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server, path = self.server, self.path.split("?")[0]
        server.seen.append((path, dict(self.headers)))
        steps = server.behaviour.get(path, [])
        step = steps.pop(0) if isinstance(steps, list) and steps else (steps or None)
        if server.password is not None:
            expected = "Basic " + base64.b64encode(server.password.encode()).decode()
            if self.headers.get("Authorization") != expected:
                return self.plain(401)
        if isinstance(step, int):
            return self.plain(step)
        if isinstance(step, str) and step.startswith("to "):
            return self.plain(302, Location=step[3:])
        if path not in server.files:
            return self.plain(404)
        return self.send(server.files[path], step)

    def plain(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send(self, content, step):
        etag = f'"{hash(content)}"'
        asked = self.headers.get("Range")
        start = 0
        if asked and self.headers.get("If-Range") in (None, etag) and step != "no ranges":
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        if step != "no version":
            self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if step in ("cut", "no version"):
            self.wfile.write(content[start : start + (len(content) - start) // 2])
            self.wfile.flush()
            self.close_connection = True
            return
        if step == "slow":
            for place in range(start, len(content), 4096):
                self.wfile.write(content[place : place + 4096])
                self.wfile.flush()
                time.sleep(0.01)
            return
        if step == "silent":
            self.wfile.write(content[start : start + 10])
            self.wfile.flush()
            time.sleep(3)
            return
        self.wfile.write(content[start:])


@contextmanager
def running():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
