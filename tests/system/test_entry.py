"""Who comes in to the started product: credentials, TLS, redirects and the PROXY protocol."""

import hashlib
import http.client
import json
import os
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.gateway.ingress.auth.signing import key_set, token
from tests.system.product import (
    Answer,
    Process,
    ask,
    counter,
    free_port,
    role,
    started,
    until,
)

STATIC = "static-token-0123456789-0123456789"
NAME = "*.demo.actors.localhost"
CA = trustme.CA()


def write_pair(directory: Path, *more: str) -> None:
    made = CA.issue_cert(NAME, "edge.example", *more)
    made.private_key_pem.write_to_path(directory / "new.key")
    made.cert_chain_pems[0].write_to_path(directory / "new.pem")
    os.replace(directory / "new.key", directory / "edge.key")
    os.replace(directory / "new.pem", directory / "edge.pem")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """All kinds of credentials, in one plain `rouse up`; the namespace `public` is open."""
    data = tmp_path_factory.mktemp("guarded")
    digest = hashlib.sha256(STATIC.encode()).hexdigest()
    (data / "tokens").write_text(f"ann sha256:{digest} demo\n")
    (data / "jwks.json").write_bytes(key_set("rsa-1"))
    (data / "rouse.yaml").write_text(f"""
edge:
  auth:
    accept: [token, jwt, actor]
    namespaces: {{public: [none]}}
    tokens_file: {data}/tokens
    jwks: {data}/jwks.json
    jwt_issuer: https://login.example
    jwt_audience: rouse
""")
    process = role("up", data, "--config", str(data / "rouse.yaml"), "--runtime", "process")
    with started(process):
        for ns in ("demo", "public"):
            made = {**counter(), "metadata": {"namespace": ns, "name": "counter"}}
            assert process.apply(made).status in (200, 201)
        yield process


def bearer(credential: str | bytes) -> dict[str, str]:
    text = credential if isinstance(credential, str) else credential.decode()
    return {"Authorization": f"Bearer {text}"}


def test_a29_a71_without_a_credential_nothing_is_made_or_woken(guarded: Process) -> None:
    before = guarded.metric("rouse_wakes_total")
    expired = token(exp=int(time.time()) - 3600)
    for headers in ({}, bearer("wrong" * 8), bearer(expired), {"Cookie": "rouse-token=x"}):
        answer = guarded.get("stranger", headers=headers)
        assert answer.status == 401 and answer.headers["www-authenticate"].startswith("Bearer")
    assert guarded.actor("stranger") is None
    assert guarded.metric("rouse_wakes_total") == before
    assert guarded.get("open", ns="public").status == 200


def test_each_kind_of_credential_opens_what_it_is_for(guarded: Process) -> None:
    minted = guarded.cli("actor", "token", "demo/mine", "--expires", "5m")
    assert minted.returncode == 0, minted.stderr
    own = minted.stdout.strip()
    for credential in (STATIC, token(), own):
        assert guarded.get("mine", headers=bearer(credential)).status == 200
    assert guarded.get("mine", headers={"Cookie": f"rouse-token={own}"}).status == 200
    assert guarded.get("mine", f"/?rouse_token={own}").status == 200
    assert guarded.get("other", headers=bearer(own)).status == 403
    assert guarded.actor("other") is None

    def log() -> str:
        return (guarded.data / "access.log").read_text() + guarded.output()

    until("the requests are in the log", lambda: '"path":"/"' in log() and '"status":403' in log())
    for secret in (STATIC, own, "rouse1."):
        assert secret not in log()


def test_keys_of_the_provider_rotate_while_it_runs(guarded: Process) -> None:
    assert guarded.get("mine", headers=bearer(token("ec-1"))).status == 401
    (guarded.data / "jwks.json").write_bytes(key_set("rsa-1", "ec-1"))
    until(
        "the new key is taken over",
        lambda: guarded.get("mine", headers=bearer(token("ec-1"))).status == 200,
    )
    assert guarded.get("mine", headers=bearer(token("rsa-1"))).status == 200


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, int]]:
    """TLS in two edge processes, and the port where plain HTTP is redirected."""
    data, plain = tmp_path_factory.mktemp("secure"), free_port()
    write_pair(data)
    process = role(
        "up",
        data,
        "--runtime",
        "process",
        ROUSE_EDGE_PROCESSES="2",
        ROUSE_EDGE_TLS_CERT_FILES=str(data / "edge.pem"),
        ROUSE_EDGE_TLS_KEY_FILES=str(data / "edge.key"),
        ROUSE_EDGE_TLS_REDIRECT_LISTEN=f"127.0.0.1:{plain}",
    )
    with started(process):
        assert process.apply(counter()).status in (200, 201)
        yield process, plain


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    return context


def ask_tls(port: int, before: bytes = b"") -> Answer:
    host = "a1.demo.actors.localhost"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as bare:
        bare.sendall(before)
        with trusting().wrap_socket(bare, server_hostname=host) as tls:
            tls.sendall(
                f"GET /headers HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
            )
            answer = http.client.HTTPResponse(tls)
            answer.begin()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(status=answer.status, headers=headers, body=answer.read())


def shown_names(port: int) -> set[str]:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as bare,
        trusting().wrap_socket(bare, server_hostname="edge.example") as tls,
    ):
        told = tls.getpeercert()
        assert told is not None
        return {str(pair[1]) for pair in told["subjectAltName"]}


def test_the_edge_speaks_tls_and_sends_plain_http_on_to_it(secure: tuple[Process, int]) -> None:
    process, plain = secure
    assert ask_tls(process.edge).status in (200, 404)
    assert process.actor("a1")["state"] == "RUNNING"
    answer = ask(plain, path="/p?a=1", headers={"Host": f"a1.demo.actors.localhost:{plain}"})
    assert answer.status == 308
    where = f"https://a1.demo.actors.localhost:{process.edge}/p?a=1"
    assert answer.headers["location"] == where
    assert f"https://<actor>.<namespace>.actors.localhost:{process.edge}/" in process.output()


def test_a_changed_certificate_is_served_by_every_process(secure: tuple[Process, int]) -> None:
    process, _ = secure
    assert "new.example" not in shown_names(process.edge)
    write_pair(process.data, "new.example")
    until(
        "ten handshakes in a row see the new certificate",
        lambda: all("new.example" in shown_names(process.edge) for _ in range(10)),
    )
    (process.data / "edge.key").write_text("nonsense")
    until("the bad key is told", lambda: "can't be used" in process.output())
    assert "new.example" in shown_names(process.edge)


def test_a_proxy_header_tells_the_client_before_tls(tmp_path: Path) -> None:
    write_pair(tmp_path)
    process = role(
        "up",
        tmp_path,
        "--runtime",
        "process",
        ROUSE_EDGE_TLS_CERT_FILES=str(tmp_path / "edge.pem"),
        ROUSE_EDGE_TLS_KEY_FILES=str(tmp_path / "edge.key"),
        ROUSE_EDGE_PROXY_PROTOCOL="127.0.0.0/8",
    )
    with started(process):
        assert process.apply(counter()).status in (200, 201)
        line = b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n"
        assert ask_tls(process.edge, line).status in (200, 404)

        def logged() -> list[str]:
            lines = (process.data / "access.log").read_text().splitlines()
            return [json.loads(line)["client"] for line in lines]

        until("the request is in the access log", logged)
        assert logged() == ["192.0.2.7"]
        with pytest.raises((ssl.SSLError, OSError)):
            ask_tls(process.edge)


def test_a_file_that_is_missing_stops_the_start_in_one_line(tmp_path: Path) -> None:
    process = role("up", tmp_path, ROUSE_EDGE_AUTH_ACCEPT="token", ROUSE_EDGE_AUTH_TOKENS_FILE="no")
    process.start()
    assert process.child is not None and process.child.wait(30) == 1
    assert "rouse up: edge.auth.tokens_file no: No such file or directory" in process.output()
    assert "Traceback" not in process.output()
