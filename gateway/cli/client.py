"""The client of the control API: JSON over HTTP by the standard library alone, to start fast."""

import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from gateway import places
from gateway.cli.failures import USAGE, Failure, from_answer

ANSWER_S = 30.0
"""For what should answer at once; commands that wait for actors add their own time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the API is: a TCP address or a unix socket."""

    url: str
    host: str
    port: int = 0
    socket_path: str = ""
    tls: bool = False

    @classmethod
    def parse(cls, url: str) -> "Target":
        parts = urlsplit(url)
        if parts.scheme == "unix" and parts.path.startswith("/"):
            return cls(url=url, host="localhost", socket_path=parts.path)
        is_url = parts.scheme in ("http", "https") and parts.path in ("", "/")
        try:
            port = parts.port
        except ValueError:
            port, is_url = None, False
        if not is_url or not parts.hostname:
            raise Failure(
                f"{url!r} is no admin URL: write http://host:port or unix:/path", code=USAGE
            )
        tls = parts.scheme == "https"
        return cls(url=url, host=parts.hostname, port=port or (443 if tls else 80), tls=tls)


def find(given: str | None, environ: Mapping[str, str]) -> Target:
    """--admin-url, else ROUSE_ADMIN_URL, else what a running `rouse up` of this user left."""
    url = given or environ.get("ROUSE_ADMIN_URL")
    if not url:
        left = places.admin_url_file(places.data_dir(environ))
        try:
            url = left.read_text().strip()
        except OSError:
            url = ""
    # The default of `rouse up`: another one's file may not be where this user looks.
    return Target.parse(url or "http://127.0.0.1:8081")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.sock.close()
            raise


class Client:
    """One API; each call is a connection of its own. Every failure is a Failure."""

    def __init__(self, target: Target, key: str | None) -> None:
        self._target = target
        self._headers = {"Accept": "application/json", "User-Agent": "rouse"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, object] | None = None,
        patience_s: float = ANSWER_S,
    ) -> Any:  # JSON of the API; text for logs; None where the answer is empty
        """`query` values that are None are left out."""
        named = {name: _text(value) for name, value in (query or {}).items() if value is not None}
        target = path + (f"?{urlencode(named)}" if named else "")
        headers = dict(self._headers)
        content = None
        if method in ("POST", "PUT"):
            headers["Content-Type"] = "application/json"
            content = json.dumps({} if body is None else body).encode()
        status, kind, answer = self._exchange(method, target, content, headers, patience_s)
        if status >= 400:
            raise from_answer(status, _error(answer))
        if not kind.startswith("application/json"):
            return answer.decode(errors="replace") or None
        try:
            return json.loads(answer)
        except ValueError as error:
            raise Failure(f"{self._target.url} does not answer like rouse's admin API") from error

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], patience_s: float
    ) -> tuple[int, str, bytes]:
        connection = self._connection(patience_s)
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Content-Type", ""), answer.read()
        except TimeoutError as error:
            raise Failure(f"{self._target.url} gave no answer within {patience_s:g} s") from error
        except (ConnectionRefusedError, FileNotFoundError, socket.gaierror) as error:
            raise Failure(
                f"no rouse answers at {self._target.url}: start one with `rouse up`, or say where "
                "it is with --admin-url or ROUSE_ADMIN_URL"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise Failure(
                f"{self._target.url} broke off: {str(error) or type(error).__name__}"
            ) from error
        finally:
            connection.close()

    def _connection(self, patience_s: float) -> http.client.HTTPConnection:
        where = self._target
        if where.socket_path:
            return _UnixConnection(where.socket_path, patience_s)
        kind = http.client.HTTPSConnection if where.tls else http.client.HTTPConnection
        return kind(where.host, where.port, timeout=patience_s)


def segment(name: str) -> str:
    """A name as one segment of a path; the API judges it."""
    return quote(name, safe="")


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _error(answer: bytes) -> dict[str, object]:
    try:
        error = json.loads(answer)["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return error if isinstance(error, dict) else {}
