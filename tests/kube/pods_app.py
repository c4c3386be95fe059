"""The program of the pods in tests: `python pods_app.py PORT`. Whoever asks it learns what a container sees."""

from __future__ import annotations

import os
import ssl
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

SICK = Path("/tmp/sick")
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        what, _, rest = self.path.lstrip("/").partition("/")
        status, said = self._said(what, unquote(rest))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(said.encode())

    def _said(self, what: str, rest: str) -> tuple[int, str]:
        try:
            return self._done(what, rest)
        except (OSError, KeyError) as error:
            return 500, repr(error)

    def _done(self, what: str, rest: str) -> tuple[int, str]:
        match what:
            case "healthz":
                return (503, "sick") if SICK.exists() else (200, "well")
            case "sick":
                SICK.touch()
            case "healed":
                SICK.unlink()
            case "exit":
                os._exit(3)
            case "file":
                return 200, Path(f"/{rest}").read_text()
            case "write":
                Path(f"/{rest}").write_text("written")
            case "env":
                return 200, os.environ[rest]
            case "cwd":
                return 200, str(Path.cwd())
            case "get":
                with urllib.request.urlopen(rest, timeout=5) as answer:
                    return 200, answer.read().decode()
            case "api":
                return _asked(rest)
        return 200, os.environ["HOSTNAME"]

    def log_message(self, format: str, *args: object) -> None:
        print(format % args, flush=True)


def _asked(path: str) -> tuple[int, str]:
    """The API server, as any program in a cluster does."""
    where = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}/{path}"
    request = urllib.request.Request(where, headers={"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"})
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=5, context=context) as answer:
        return 200, answer.read().decode()


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(sys.argv[1])), Answers).serve_forever()
