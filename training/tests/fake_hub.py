"""As much of the Hugging Face hub as its client asks for: one repository at one commit, over HTTP on this machine."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


class FakeHub:
    """`served` are the files that were really asked for with GET."""

    def __init__(self, repository: str, folder: Path) -> None:
        self.repository, self.folder = repository, folder
        self.commit = hashlib.sha1(repository.encode(), usedforsecurity=False).hexdigest()
        self.served: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                hub.answer(self, body=False)

            def do_GET(self) -> None:
                hub.answer(self, body=True)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeHub:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler, *, body: bool) -> None:
        path = unquote(urlsplit(request.path).path)
        about, _, rest = path.removeprefix("/api/models/").partition("/revision/")
        files = f"/{self.repository}/resolve/{self.commit}/"
        if path.startswith("/api/models/") and about.startswith(self.repository):
            if rest in ("", "main", self.commit):
                return self._send(request, json.dumps(self._tree() if "/tree/" in about else self._info()).encode())
            return self._refuse(request, "RevisionNotFound")
        if path.startswith(files) and (self.folder / path.removeprefix(files)).is_file():
            name = path.removeprefix(files)
            if body:
                self.served.append(name)
            return self._send(request, (self.folder / name).read_bytes(), body=body)
        return self._refuse(request, "EntryNotFound" if path.startswith(files) else "RepoNotFound")

    def _files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def _info(self) -> dict[str, Any]:
        siblings = [{"rfilename": path.relative_to(self.folder).as_posix()} for path in self._files()]
        return {"id": self.repository, "sha": self.commit, "siblings": siblings, "tags": [], "downloads": 0}

    def _tree(self) -> list[dict[str, Any]]:
        return [
            {
                "type": "file",
                "path": path.relative_to(self.folder).as_posix(),
                "size": path.stat().st_size,
                "oid": hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest(),
            }
            for path in self._files()
        ]

    def _send(self, request: BaseHTTPRequestHandler, content: bytes, *, body: bool = True) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.send_header("Content-Type", "application/json")
        request.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        request.send_header("X-Repo-Commit", self.commit)
        request.end_headers()
        if body:
            request.wfile.write(content)

    def _refuse(self, request: BaseHTTPRequestHandler, code: str) -> None:
        request.send_response(404)
        request.send_header("X-Error-Code", code)
        request.send_header("Content-Length", "0")
        request.end_headers()
