"""Functions of agentgateway that CEL itself and the library have not. None of them reads anything
but its arguments; one that is given what it cannot take raises ValueError.
"""

import base64
import hashlib
import ipaddress
import json
import random
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode

_LARGEST = 512 * 1024
"""What json() is given is made into objects while everybody else waits."""


def _contains_ip(network: str, address: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _json(text: str | bytes) -> Any:  # JSON is whatever it is
    if len(text) > _LARGEST:
        raise ValueError("too long for json()")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("too deep for json()") from None


def _payload(token: str) -> Any:  # the same
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("no JWT")
    return _json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))


def _form(given: Mapping[str, Any]) -> str:
    pairs = [
        (key, str(each))
        for key, value in sorted(given.items())
        for each in (value if isinstance(value, list) else [value])
    ]
    return urlencode(pairs)


def _form_back(text: str) -> dict[str, Any]:
    found = parse_qs(text, keep_blank_values=True)
    return {key: each[0] if len(each) == 1 else each for key, each in found.items()}


def _bytes(given: str | bytes) -> bytes:
    return given.encode() if isinstance(given, str) else given


def _fail(*_why: object) -> None:
    raise ValueError("fail()")


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "cidr": lambda network: str(ipaddress.ip_network(network, strict=False)),
    "ip": lambda address: str(ipaddress.ip_address(address)),
    "containsIP": _contains_ip,
    "regexReplace": lambda text, pattern, replacement: re.sub(pattern, replacement, text),
    "sha256": lambda text: hashlib.sha256(_bytes(text)).hexdigest(),
    "sha256.encode": lambda text: hashlib.sha256(_bytes(text)).hexdigest(),
    "base64Encode": lambda text: base64.b64encode(_bytes(text)).decode(),
    "base64.encode": lambda text: base64.b64encode(_bytes(text)).decode(),
    "base64.decode": lambda text: base64.b64decode(text, validate=True),
    "url.encode": lambda text: quote(text, safe=""),
    "url.decode": unquote,
    "form.encode": _form,
    "form.decode": _form_back,
    "json": _json,
    "toJson": lambda given: json.dumps(given, separators=(",", ":")),
    "unvalidatedJwtPayload": _payload,
    "merge": lambda one, other: {**one, **other},
    "stripPrefix": lambda text, prefix: text.removeprefix(prefix),
    "stripSuffix": lambda text, suffix: text.removesuffix(suffix),
    "random": random.random,
    "uuid": lambda: str(uuid.uuid4()),
    "fail": _fail,
}
