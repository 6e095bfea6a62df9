"""A secret into a request: at a place of the policy's choice, or where the actor put a placeholder.

What was there goes: the credential overwrites it. No I/O; nothing here tells a secret.
"""

import base64
import binascii
import re
from collections.abc import Callable
from urllib.parse import quote, unquote_plus

from gateway.egress import heads
from gateway.egress.ask import Fields
from gateway.egress.config.model import Credential, Location, Place
from gateway.egress.refusals import Refusal, Refused

_BASIC = re.compile(r"(?i:basic) +([A-Za-z0-9+/]+={0,2})")


def place(
    fields: Fields, target: str, credential: Credential, secret: str, provider: str = ""
) -> tuple[Fields, str]:
    """Raises Refusal when the secret cannot stand there."""
    try:
        if credential.placeholder is not None:
            return _replace(fields, target, credential.placeholder, secret)
        if credential.username is not None:
            pair = base64.b64encode(f"{credential.username}:{secret}".encode()).decode()
            return heads.set_field(fields, "authorization", f"Basic {pair}"), target
        if provider == "anthropic" and credential.location == _BEARER:
            return _anthropic(fields, secret), target
        return _put(fields, target, credential.location, secret)
    except ValueError as error:
        raise Refusal(
            Refused.CREDENTIAL, f"the credential {credential.name} can't stand in a request"
        ) from error


_BEARER = Location(prefix="Bearer ")


def _anthropic(fields: Fields, secret: str) -> Fields:
    """An API key goes where Anthropic wants it; an OAuth token stays a Bearer."""
    fields = heads.set_field(fields, "anthropic-version", "2023-06-01")
    if secret.startswith("sk-ant-oat"):
        return heads.set_field(fields, "authorization", f"Bearer {secret}")
    fields = heads.without(fields, ("authorization",))
    return heads.set_field(fields, "x-api-key", secret)


def _put(fields: Fields, target: str, location: Location, secret: str) -> tuple[Fields, str]:
    if location.place is Place.HEADER:
        return heads.set_field(fields, location.name, location.prefix + secret), target
    if location.place is Place.QUERY:
        path, _mark, query = target.partition("?")
        rest = [
            each
            for each in query.split("&")
            if each and unquote_plus(each.partition("=")[0]) != location.name
        ]
        query = "&".join([*rest, f"{location.name}={quote(secret, safe='')}"])
        return fields, f"{path}?{query}"
    if re.fullmatch(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*", secret) is None:
        raise ValueError("not fit for a cookie")  # RFC 6265, section 4.1.1
    crumbs = [
        crumb.strip()
        for name, value in fields
        if name == "cookie"
        for crumb in value.split(";")
        if crumb.strip() and crumb.strip().partition("=")[0] != location.name
    ]
    crumbs.append(f"{location.name}={secret}")
    return heads.set_field(fields, "cookie", "; ".join(crumbs)), target


def _replace(fields: Fields, target: str, placeholder: str, secret: str) -> tuple[Fields, str]:
    """Everywhere in the head where the actor wrote the placeholder; inside Basic's base64 too, as
    git sends it."""
    made = [
        (name, heads.check_value(_in_value(value, placeholder, secret))) for name, value in fields
    ]
    path, mark, query = target.partition("?")
    if placeholder in query:
        query = query.replace(placeholder, quote(secret, safe=""))
    if placeholder in path:
        path = path.replace(placeholder, quote(secret, safe=""))
    return made, path + mark + query


def _in_value(value: str, placeholder: str, secret: str) -> str:
    if placeholder in value:
        return value.replace(placeholder, secret)
    return _in_basic(value, lambda pair: pair.replace(placeholder, secret)) or value


def _in_basic(value: str, change: Callable[[str], str]) -> str | None:
    match = _BASIC.fullmatch(value)
    if match is None:
        return None
    try:
        pair = base64.b64decode(match[1], validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
    changed = change(pair)
    if changed == pair:
        return None
    return f"Basic {base64.b64encode(changed.encode()).decode()}"


def is_placed(fields: Fields, target: str, placeholder: str) -> bool:
    """Did the actor write it anywhere?"""
    if placeholder in target:
        return True
    return any(
        placeholder in value or _in_basic(value, lambda pair: pair.replace(placeholder, "\0"))
        for _name, value in fields
    )
