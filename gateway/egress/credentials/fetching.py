"""Secrets that are asked for: a command's output, an endpoint's answer, an OAuth2 token."""

import asyncio
import base64
import math
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec

from gateway.egress.config.model import HttpSource, OAuth, Source
from gateway.egress.credentials.secrets import Fetched, SecretUnavailable

if TYPE_CHECKING:
    from gateway.egress.credentials.secrets import Secrets

_LARGEST = 64 * 1024
_EARLY_S = 30.0
"""A token is not used in its last moments: it has to arrive, too."""


async def fetch(source: Source, secrets: "Secrets") -> Fetched:
    """Raises SecretUnavailable, OSError, TimeoutError."""
    if source.command is not None:
        return Fetched(value=await _run(source.command), lives_s=source.ttl_s)
    if source.http is not None:
        return Fetched(value=await _ask(source.http, secrets), lives_s=source.ttl_s)
    assert source.oauth is not None
    return await _token(source.oauth, secrets, source.ttl_s)


async def _run(command: tuple[str, ...]) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        # What it says may hold what it knows.
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        output = await process.stdout.read(_LARGEST + 1)
        if len(output) <= _LARGEST:
            output += await process.stdout.read()
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await asyncio.shield(process.wait())
    if code != 0:
        raise SecretUnavailable(f"{command[0]} ended with status {code}")
    return _text(output)


async def _ask(asked: HttpSource, secrets: "Secrets") -> str:
    headers = {name: secrets.value(each) for name, each in asked.headers}
    async with aiohttp.ClientSession() as session:
        try:
            # No redirect is followed: the headers may hold a secret.
            async with session.get(asked.url, headers=headers, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise SecretUnavailable(f"its endpoint answered {answer.status}")
                body = await answer.content.read(_LARGEST)
        except aiohttp.ClientError as error:
            raise SecretUnavailable(f"its endpoint: {type(error).__name__}") from None
    if asked.field is None:
        return _text(body)
    found: Any = _json(body)
    for part in asked.field.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    if not isinstance(found, str):
        raise SecretUnavailable(f"its endpoint's answer has no text at {asked.field}")
    return _text(found.encode())


async def _token(asked: OAuth, secrets: "Secrets", ttl_s: float) -> Fetched:
    """RFC 6749, section 4.4."""
    form = {"grant_type": "client_credentials"}
    if asked.scopes:
        form["scope"] = " ".join(asked.scopes)
    pair = f"{asked.client_id}:{secrets.value(asked.client_secret)}".encode()
    headers = {"authorization": f"Basic {base64.b64encode(pair).decode()}"}
    async with aiohttp.ClientSession() as session:
        try:
            async with session.post(
                asked.token_url, data=form, headers=headers, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    raise SecretUnavailable(f"the token endpoint answered {answer.status}")
                body = _json(await answer.content.read(_LARGEST))
        except aiohttp.ClientError as error:
            raise SecretUnavailable(f"the token endpoint: {type(error).__name__}") from None
    token = body.get("access_token") if isinstance(body, dict) else None
    if not isinstance(token, str) or not token:
        raise SecretUnavailable("the token endpoint gave no access_token")
    lives = body.get("expires_in")
    if isinstance(lives, int | float) and math.isfinite(lives) and lives > 0:
        ttl_s = max(lives - _EARLY_S, lives / 2)
    return Fetched(value=token, lives_s=ttl_s)


def _json(body: bytes) -> Any:  # JSON is whatever it is
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise SecretUnavailable("the answer is no JSON") from None


def _text(output: bytes) -> str:
    try:
        text = output.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise SecretUnavailable("what it gave is no text") from None
    if not text or len(text) > _LARGEST:
        raise SecretUnavailable("what it gave is empty or too long")
    return text
