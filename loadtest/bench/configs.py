"""What each side is told: configurations as texts, so that a reader sees what is compared."""

from collections.abc import Mapping
from pathlib import Path

SMALL = "hello from the same server\n"
"""27 bytes: what is measured is the proxy, not the copying."""
NAMESPACE = "bench"
ACTOR = "backend"
FILES = {"16k": 16 * 1024, "1m": 1024 * 1024}

PORT_MARK = "@PORT@"


def backend(port: str, scratch: Path, www: Path) -> str:
    """nginx as the server behind everybody; `port` may be PORT_MARK, filled in by a shell."""
    return f"""\
worker_processes 1;
daemon off;
master_process off;
pid {scratch}/pid;
error_log stderr crit;
events {{ worker_connections 16384; }}
http {{
  {_temporary(scratch)}
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_max_body_size 0;
  sendfile on;
  open_file_cache max=16;
  default_type application/octet-stream;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    root {www};
    location = / {{ return 200 "{SMALL.rstrip()}\\n"; }}
    location = /sink {{ return 200 "ok\\n"; }}
  }}
}}
"""


def nginx(port: int, backend_port: int, scratch: Path, pem: Path | None = None) -> str:
    """nginx as a proxy: kept connections to the backend, nothing spooled to disk, no log. `pem`
    has the certificate and the key where its clients speak TLS."""
    tls = f"ssl_certificate {pem}; ssl_certificate_key {pem};" if pem is not None else ""
    listen = "backlog=4096 ssl" if pem is not None else "backlog=4096"
    return f"""\
worker_processes 1;
daemon off;
master_process off;
pid {scratch}/pid;
error_log stderr crit;
events {{ worker_connections 16384; }}
http {{
  {_temporary(scratch)}
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_max_body_size 0;
  proxy_max_temp_file_size 0;
  upstream backend {{
    server 127.0.0.1:{backend_port};
    keepalive 1024;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} {listen};
    {tls}
    location / {{
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
}}
"""


def haproxy(port: int, backend_port: int, pem: Path | None = None) -> str:
    """HAProxy with one thread and connections shared by all clients; no log."""
    tls = f" ssl crt {pem}" if pem is not None else ""
    return f"""\
global
  nbthread 1
  maxconn 16000
  no strict-limits
defaults
  mode http
  http-reuse always
  option forwardfor
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
frontend clients
  bind 127.0.0.1:{port} backlog 4096{tls}
  default_backend same
backend same
  server one 127.0.0.1:{backend_port}
"""


def template(nginx_path: str, config: Path, scratch: Path, core: int) -> dict[str, object]:
    """The backend as an actor: the same program and configuration, on the backends' core, at the
    port that the worker chose."""
    filled = scratch / "actor.conf"
    script = (
        f'sed "s/{PORT_MARK}/$PORT/" {config} > {filled} && '
        f"exec taskset -c {core} {nginx_path} -c {filled}"
    )
    return {
        "apiVersion": "rouse.dev/v1alpha1",
        "kind": "ActorTemplate",
        "metadata": {"namespace": NAMESPACE, "name": "backend"},
        "spec": {
            "command": ["sh", "-c", script],
            "ports": [{"name": "http", "port": 8080}],
            "readiness": {"httpGet": {"path": "/", "port": "http"}, "timeout": "20s"},
            "idle": {"freezeAfter": "never", "suspendAfter": "never"},
            "create": {"onRequest": True},
        },
    }


def actor_host() -> str:
    return f"{ACTOR}.{NAMESPACE}.actors.localhost"


def router_fields(backend_port: int) -> Mapping[str, str]:
    """How agent-sandbox's router is shown its way (it must allow loopback addresses)."""
    return {
        "X-Sandbox-ID": ACTOR,
        "X-Sandbox-Namespace": NAMESPACE,
        "X-Sandbox-Port": str(backend_port),
        "X-Sandbox-Pod-IP": "127.0.0.1",
    }


def _temporary(scratch: Path) -> str:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return " ".join(f"{kind}_temp_path {scratch}/{kind};" for kind in kinds)
