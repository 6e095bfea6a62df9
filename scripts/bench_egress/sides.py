"""The proxies side by side: each intercepts TLS on core 0, in front of one TLS nginx on core 1.

Squid (ssl-bump) and mitmproxy are optional: where one is not installed, the table says how to get
it. All make leaves of a CA of their own; all verify the backend.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import trustme

PROXY_CORE, LOAD_CORE = 0, 1
HOST = "bench.test"
EVENTS = 60
"""Of the stream: as many tokens as a short answer has."""
_UP_WITHIN_S = 20.0
ROOT = Path(__file__).resolve().parent.parent.parent


class Missing(Exception):
    """A tool that is not here; the message says how to get it."""


@dataclass(frozen=True, kw_only=True)
class Side:
    name: str
    proxy: str | None
    """URL with what identifies the caller."""
    ca: Path


def find(program: str, how: str, variable: str = "") -> str:
    given = os.environ.get(variable) if variable else None
    found = given or shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        raise Missing(f"{program}: {how}")
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def _running(command: list[str], port: int, core: int, log: Path, **env: str) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env},
            cwd=ROOT,
        )
    try:
        until = time.monotonic() + _UP_WITHIN_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if time.monotonic() > until or process.poll() is not None:
                raise Missing(f"{command[0]} did not come up: {log.read_text()[-500:]}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


NGINX = """
daemon off; master_process off; worker_processes 1; error_log {home}/error.log crit; pid {home}/pid;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 300s; server_tokens off;
  client_body_temp_path {home}/b; proxy_temp_path {home}/p; fastcgi_temp_path {home}/f;
  uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
  server {{
    listen 127.0.0.1:{tls} ssl backlog=4096; listen 127.0.0.1:{plain} backlog=4096;
    ssl_certificate {home}/leaf.pem; ssl_certificate_key {home}/leaf.key;
    location / {{ return 200 "a body of twenty-seven bytes"; }}
    location /v1/chat/completions {{
      default_type text/event-stream;
      set $e '{events}';  # a parameter may not be as long as all of them
      return 200 '$e$e$e$e$e${{e}}{last}';
    }}
  }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class Backend:
    tls: int
    plain: int
    ca: Path


@contextlib.contextmanager
def backend(home: Path) -> Iterator[Backend]:
    ca = trustme.CA()
    leaf = ca.issue_cert(HOST, "127.0.0.1", "localhost")
    ca.cert_pem.write_to_path(str(home / "backend-ca.pem"))
    leaf.private_key_pem.write_to_path(str(home / "leaf.key"))
    for blob in leaf.cert_chain_pems:
        blob.write_to_path(str(home / "leaf.pem"), append=True)
    tls, plain = free_port(), free_port()
    config = home / "nginx.conf"
    events, last = _stream()
    config.write_text(NGINX.format(home=home, tls=tls, plain=plain, events=events, last=last))
    command = [find("nginx", "apt-get install nginx-light"), "-c", str(config)]
    with _running(command, tls, LOAD_CORE, home / "nginx.log"):
        yield Backend(tls=tls, plain=plain, ca=home / "backend-ca.pem")


def _stream() -> tuple[str, str]:
    """An answer of OpenAI's: a sixth of its events, and what it used."""
    piece = {"id": "c1", "object": "chat.completion.chunk", "model": "gpt-4o-mini"}
    one = json.dumps({**piece, "choices": [{"index": 0, "delta": {"content": " word"}}]})
    used = {"prompt_tokens": 20, "completion_tokens": EVENTS, "total_tokens": 20 + EVENTS}
    last = json.dumps({**piece, "choices": [], "usage": used})
    events = rf"data: {one}\n\n" * (EVENTS // 6)
    return events, rf"data: {last}\n\ndata: [DONE]\n\n"


@contextlib.contextmanager
def rouse(home: Path, behind: Backend) -> Iterator[Side]:
    port = free_port()
    (home / "egress.yaml").write_text(
        f"""
binds:
- {{port: 3128, tunnelProtocol: connect, listeners: []}}
- port: {behind.tls}
  mode: internal
  listeners:
  - protocol: HTTPS
    tls: {{mode: dynamicCa}}
    routes:
    - hostnames: [localhost]
      policies:
        authorization: {{rules: ['actor.namespace == "bench"']}}
        backendAuth: {{key: bench-secret}}
      backends: [{{dynamic: {{}}, policies: {{backendTLS: {{root: "{behind.ca}"}}}}}}]
- port: {behind.plain}
  mode: internal
  listeners:
  - routes: [{{hostnames: [localhost], backends: [{{dynamic: {{}}}}]}}]
rouse: {{privateAddresses: ["127.0.0.0/8"]}}
"""
    )
    command = [sys.executable, "-m", "scripts.bench_egress.serve", str(home), str(port)]
    with _running(command, port, PROXY_CORE, home / "rouse.log"):
        url = f"http://actor:bench-token@127.0.0.1:{port}"
        yield Side(name="rouse, injecting", proxy=url, ca=home / "ca.crt")


SQUID = """
http_port 127.0.0.1:{port} ssl-bump generate-host-certificates=on dynamic_cert_mem_cache_size=16MB cert={home}/ca.pem key={home}/ca.pem
sslcrtd_program {certgen} -s {home}/db -M 16MB
sslcrtd_children 2 startup=1
acl all_of src 127.0.0.1
ssl_bump bump all
tls_outgoing_options cafile={ca}
http_access allow all_of
access_log none
cache deny all
cache_mem 0 MB
pid_filename {home}/squid.pid
cache_log {home}/cache.log
coredump_dir {home}
shutdown_lifetime 0 seconds
request_header_access Authorization deny all
request_header_add Authorization "Bearer bench-secret" all
workers 1
"""  # noqa: E501


@contextlib.contextmanager
def squid(home: Path, behind: Backend) -> Iterator[Side]:
    program = find("squid", "apt-get install squid-openssl")
    certgen = "/usr/lib/squid/security_file_certgen"
    home = home / "squid"
    home.mkdir()
    _authority(home)
    subprocess.run([certgen, "-c", "-s", str(home / "db"), "-M", "16MB"], check=True,
                   capture_output=True)  # fmt: skip
    if os.geteuid() == 0:
        for path in (home, *home.rglob("*")):
            shutil.chown(path, "proxy", "proxy")
        for above in (home, *home.parents):
            if str(above).startswith("/tmp/"):
                above.chmod(above.stat().st_mode | 0o011)
        behind.ca.chmod(0o644)
    port = free_port()
    config = home / "squid.conf"
    config.write_text(SQUID.format(port=port, home=home, certgen=certgen, ca=behind.ca))
    with _running([program, "-N", "-f", str(config)], port, PROXY_CORE, home / "log"):
        yield Side(name="Squid 5.7, ssl-bump", proxy=f"http://127.0.0.1:{port}", ca=home / "ca.crt")


@contextlib.contextmanager
def mitmproxy(home: Path, behind: Backend) -> Iterator[Side]:
    program = find(
        "mitmdump",
        "pip install mitmproxy in a venv of its own, and MITMDUMP=path of mitmdump",
        "MITMDUMP",
    )
    home = home / "mitm"
    home.mkdir()
    port = free_port()
    command = [program, "-q", "--listen-host", "127.0.0.1", "-p", str(port), "--set",
               f"confdir={home}", "--set", f"ssl_verify_upstream_trusted_ca={behind.ca}", "--set",
               "modify_headers=/~q/Authorization/Bearer bench-secret"]  # fmt: skip
    with _running(command, port, PROXY_CORE, home / "log"):
        until = time.monotonic() + _UP_WITHIN_S
        ca = home / "mitmproxy-ca-cert.pem"
        while not ca.exists() and time.monotonic() < until:
            time.sleep(0.05)
        yield Side(name="mitmproxy", proxy=f"http://127.0.0.1:{port}", ca=ca)


def _authority(home: Path) -> None:
    """RSA: squid's generator signs its leaves with this key too."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj",
         "/CN=bench CA", "-keyout", str(home / "ca.key"), "-out", str(home / "ca.crt"),
         "-addext", "basicConstraints=critical,CA:TRUE",
         "-addext", "keyUsage=critical,keyCertSign,cRLSign"],
        check=True, capture_output=True,
    )  # fmt: skip
    (home / "ca.pem").write_bytes((home / "ca.key").read_bytes() + (home / "ca.crt").read_bytes())
