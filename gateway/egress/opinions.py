"""Asking a service for its opinion of a request: over HTTP, with its own deadline, and remembered
for as long as the policy says.
"""

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from gateway.egress import authz
from gateway.egress.cel import CelFailed
from gateway.egress.config.gate_model import ExtAuthz
from gateway.egress.config.values import BackendTls
from gateway.egress.credentials import placing
from gateway.egress.credentials.secrets import SecretUnavailable
from gateway.egress.refusals import Refusal

if TYPE_CHECKING:
    from gateway.egress.ask import Ask, Fields
    from gateway.egress.credentials.secrets import Secrets

_LARGEST_ANSWER = 256 * 1024
_MOST_AT_ONCE = 64


class Opinions:
    """`close` ends what is open. Remembers by the identity of what was read of the document: a new
    one begins with nothing."""

    def __init__(self, secrets: "Secrets") -> None:
        self._secrets = secrets
        self._kept: OrderedDict[tuple[ExtAuthz, str], tuple[float, authz.Verdict]] = OrderedDict()
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"<Opinions {len(self._kept)} remembered>"

    async def of(
        self, asked: ExtAuthz, ask: "Ask", context: Callable[[BackendTls], ssl.SSLContext]
    ) -> authz.Verdict:
        """Never raises: who can't be asked has failed, and the policy says what that means."""
        key = None if asked.cache is None else authz.cache_key(asked.cache, ask)
        now = asyncio.get_running_loop().time()
        if key is not None and (kept := self._kept.get((asked, key))) is not None:
            if now < kept[0]:
                return kept[1]
            del self._kept[asked, key]
        try:
            question = authz.question(asked, ask)
        except (CelFailed, ValueError, Refusal):
            return authz.Verdict(refusal=("what to ask could not be computed", None))
        try:
            status, fields, body = await self._call(asked, question, context)
        except SecretUnavailable:
            return authz.failed(asked, f"the key for {asked.service.host} is not there")
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            why = f"the service {asked.service.host} did not answer: {type(error).__name__}"
            return authz.failed(asked, why)
        verdict = authz.judged(asked, ask, status, fields, body)
        self._keep(asked, key, status, ask, verdict)
        return verdict

    async def _call(
        self,
        asked: ExtAuthz,
        question: authz.Question,
        context: Callable[[BackendTls], ssl.SSLContext],
    ) -> tuple[int, "Fields", bytes]:
        service = asked.service
        fields, target = question.fields, question.target
        sources = [each.source for each in service.credentials]
        await self._secrets.ready(sources)
        for credential in service.credentials:
            secret = self._secrets.value(credential.source)
            fields, target = placing.place(fields, target, credential, secret)
        host = f"[{service.host}]" if ":" in service.host else service.host
        scheme = "http" if service.tls is None else "https"
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=_MOST_AT_ONCE)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            )
        async with self._session.request(
            question.method,
            # As it is: encoding it once more would ask for another path.
            URL(f"{scheme}://{host}:{service.port}{target}", encoded=True),
            headers=fields,
            data=question.body or None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=service.timeout_s),
            ssl=True if service.tls is None else context(service.tls),
            server_hostname=None if service.tls is None else service.tls.hostname,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        ) as answer:
            body = await answer.content.read(_LARGEST_ANSWER)
            while len(body) < _LARGEST_ANSWER and not answer.content.at_eof():
                body += await answer.content.read(_LARGEST_ANSWER - len(body))
            if not answer.content.at_eof():
                raise ValueError("its answer is too long")
            return answer.status, [(k.lower(), v) for k, v in answer.headers.items()], body

    def _keep(
        self, asked: ExtAuthz, key: str | None, status: int, ask: "Ask", verdict: authz.Verdict
    ) -> None:
        """What passed, and plain refusals: a service in trouble is asked again."""
        cache = asked.cache
        if cache is None or key is None or not (200 <= status < 300 or status in (401, 403)):
            return
        before = ask.said.get("extauthz")
        if verdict.metadata:
            ask.said["extauthz"] = verdict.metadata
        lives_s = authz.lives_s(cache, ask)
        if verdict.metadata and before is not None:
            ask.said["extauthz"] = before
        if lives_s <= 0:
            return
        until = asyncio.get_running_loop().time() + lives_s
        self._kept[asked, key] = (until, verdict)
        self._kept.move_to_end((asked, key))
        if len(self._kept) > cache.most:
            self._kept.popitem(last=False)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
