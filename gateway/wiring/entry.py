"""The entry: gatekeeper and certificates of an edge by its settings, and what keeps them fresh."""

import ssl
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.actor_tokens import ActorTokens, BadKeys, TokenKey, parse_keys
from gateway.entry_settings import Auth, Tls, is_url
from gateway.ingress.auth.actor_passes import ActorPasses
from gateway.ingress.auth.carriers import CarrierNames, Carriers
from gateway.ingress.auth.gatekeeper import Gatekeeper, Policy
from gateway.ingress.auth.identity import Kind, Verifier
from gateway.ingress.auth.static import StaticTokens
from gateway.ingress.certificates import Certificates, Pair, TlsSettings
from gateway.ingress.watched import WatchedFiles
from gateway.settings import BadSettings, Settings
from gateway.wiring.backbone import Keys, Part
from lifecycle.snapshots.keys import KeyUnusable, load_or_make_key

if TYPE_CHECKING:
    from gateway.ingress.auth.jwts import JwtVerifier

_MOST_READ = 16 * 2**20
_CLIENT_CERTS = {
    "off": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


class Entry:
    """Raises BadSettings when a file it needs can't be read or used."""

    def __init__(self, settings: Settings, keys: Keys) -> None:
        auth = settings.edge.auth
        self._watched: list[tuple[str, WatchedFiles]] = []
        self._others: list[Part] = []
        self.gatekeeper: Gatekeeper | None = None
        """None: nothing is asked of anybody."""
        verifiers: list[Verifier] = []
        if "actor" in auth.kinds:
            verifiers.append(self._actor_passes(settings, keys))
        if "jwt" in auth.kinds:
            verifiers.append(self._jwts(auth))
        if "token" in auth.kinds and auth.tokens_file is not None:
            static = StaticTokens()
            verifiers.append(static)
            self._watch("tokens_file", auth.tokens_file, lambda text: static.accept(text.decode()))
        if verifiers:
            self.gatekeeper = _gatekeeper(auth, tuple(verifiers))
        self.certificates = (
            self._certificates(settings.edge.tls) if settings.edge.tls.is_on else None
        )
        """None: the edge speaks plain HTTP."""

    def parts(self) -> list[Part]:
        return [*((name, watched.run) for name, watched in self._watched), *self._others]

    def _actor_passes(self, settings: Settings, keys: Keys) -> ActorPasses:
        tokens = ActorTokens(token_keys(settings, keys))
        file = settings.edge.auth.actor_keys_file
        if file is not None:
            self._watch(
                "actor_keys_file", file, lambda text: tokens.accept(parse_keys(text.decode()))
            )
        return ActorPasses(tokens)

    def _jwts(self, auth: Auth) -> "JwtVerifier":
        # Here, since it is slow to import and few need it.
        from gateway.ingress.auth.jwts import JwtRules, JwtVerifier
        from gateway.ingress.auth.keysets import read_key_set
        from gateway.ingress.auth.provider import Provider, ProviderSettings

        algorithms = frozenset(auth.jwt_algorithms)
        rules = JwtRules(
            issuer=auth.jwt_issuer or "",
            audience=auth.jwt_audience or "",
            algorithms=algorithms,
            scopes_claim=auth.jwt_scopes_claim,
        )

        def take(text: bytes) -> None:
            verifier.accept(read_key_set(text, algorithms))
            self._forget()

        source = auth.jwks or ""
        if is_url(source):
            provider = Provider(ProviderSettings(url=source, refresh_s=auth.jwks_refresh_s), take)
            self._others.append(("identity provider", provider.run))
            verifier = JwtVerifier(rules, want_keys=provider.want)
        else:
            verifier = JwtVerifier(rules)
            self._watch("jwks", Path(source), take)
        return verifier

    def _watch(self, name: str, path: Path, take: Callable[[bytes], None]) -> None:
        """Read the file now, and again whenever it changes."""

        def read() -> None:
            with path.open("rb") as file:
                take(file.read(_MOST_READ))
            self._forget()

        watched = WatchedFiles((path,), read)
        try:
            watched.load()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise BadSettings(f"edge.auth.{name} {path}: {reason}") from error
        self._watched.append((f"edge.auth.{name}", watched))

    def _certificates(self, tls: Tls) -> Certificates:
        pairs = zip(tls.cert_files, tls.key_files, strict=True)
        made = TlsSettings(
            pairs=tuple(Pair(cert=cert, key=key) for cert, key in pairs),
            minimum=ssl.TLSVersion.TLSv1_2 if tls.minimum == "1.2" else ssl.TLSVersion.TLSv1_3,
            client_ca=tls.client_ca_file,
            client_certs=_CLIENT_CERTS[tls.client_certs],
        )
        try:
            certificates = Certificates(made)
            watched = WatchedFiles(made.files, certificates.load)
            watched.load()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise BadSettings(f"edge.tls: {reason}") from error
        self._watched.append(("edge.tls", watched))
        return certificates

    def _forget(self) -> None:
        if self.gatekeeper is not None:  # while the first keys are read there is none yet
            self.gatekeeper.forget()


def _gatekeeper(auth: Auth, verifiers: tuple[Verifier, ...]) -> Gatekeeper:
    def kinds(given: tuple[str, ...]) -> frozenset[Kind]:
        return frozenset(Kind(kind) for kind in given if kind != "none")

    names = CarrierNames(header=auth.header, cookie=auth.cookie, query=auth.query)
    return Gatekeeper(
        policy=Policy(
            default=kinds(auth.accept),
            namespaces={name: kinds(given) for name, given in auth.namespaces.items()},
        ),
        carriers=Carriers(names),
        verifiers=verifiers,
        passes_on=auth.forward,
    )


def token_keys(settings: Settings, keys: Keys) -> list[TokenKey]:
    """What actor tokens are signed with: a file of keys, else one derived from the shared key,
    else one of this machine's own. Raises BadSettings."""
    file = settings.edge.auth.actor_keys_file
    try:
        if file is not None:
            return parse_keys(file.read_text())
        secret = keys.actors or load_or_make_key(settings.data_dir / "actor-token.key").hex()
    except (OSError, BadKeys, UnicodeDecodeError, KeyUnusable) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadSettings(f"edge.auth.actor_keys_file {file or ''}: {reason}") from error
    return [TokenKey(id=sha256(secret.encode()).hexdigest()[:8], secret=secret.encode())]


def minter(settings: Settings, keys: Keys) -> Callable[[], ActorTokens] | None:
    """Makes what the control API signs with, read afresh each time, since that is seldom. None
    where no gateway would know the key: on a worker with a data directory of its own."""
    auth = settings.edge.auth
    if settings.role == "worker" and auth.actor_keys_file is None and keys.actors is None:
        return None
    return lambda: ActorTokens(token_keys(settings, keys))
