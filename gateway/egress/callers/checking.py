"""Is the caller who it must be? By token, password or key; what is good is known to expressions.

Each of the three says what mode it is in: strict refuses who shows nothing, optional lets them
pass, permissive refuses nobody. Whatever was found good is taken out of the request.
"""

import hashlib

from gateway.egress.ask import Ask, Fields
from gateway.egress.callers import passwords, showing, tokens
from gateway.egress.callers.keyring import Keyring, KeysAway
from gateway.egress.config.gate_model import ApiKeys, BasicAuth, JwtAuth, Mode
from gateway.egress.needs import Secrets, Steps, Work
from gateway.egress.refusals import Refusal, Refused


def by_token(rules: JwtAuth, ask: Ask, fields: Fields, keyring: Keyring) -> Steps[Fields]:
    """Raises Refusal."""
    token = showing.find(rules.shown, ask)
    if token is None:
        if rules.mode is Mode.STRICT:
            raise Refusal(Refused.NO_TOKEN, _where("a JWT", rules.shown.location.name))
        return fields
    try:
        claims = yield from _claims(rules, token, keyring)
    except Refusal:
        if rules.mode is Mode.PERMISSIVE:
            return fields
        raise
    ask.said["jwt"] = dict(claims)
    ask.token = token
    return showing.take_out(rules.shown, ask, fields)


def _claims(rules: JwtAuth, token: str, keyring: Keyring) -> Steps[tokens.Claims]:
    try:
        tokens.header_of(token)
        said = tokens.issuer_of(token)
        issuer = next((each for each in rules.issuers if each.name == said), None)
        if issuer is None:
            raise tokens.BadToken("it is of another issuer")
        if issuer.keys.http is not None:
            yield Secrets(sources=(issuer.keys,))
        return tokens.verified(token, issuer, keyring.keys(issuer.keys))
    except tokens.BadToken as error:
        raise Refusal(Refused.BAD_TOKEN, str(error)) from None
    except KeysAway:
        raise Refusal(Refused.KEYS_AWAY, "ask the policy's operator") from None


def by_password(rules: BasicAuth, ask: Ask, fields: Fields, keyring: Keyring) -> Steps[Fields]:
    """Raises Refusal."""
    encoded = showing.find(rules.shown, ask)
    challenge = (("www-authenticate", f'Basic realm="{rules.realm}"'),)
    if encoded is None:
        if rules.mode is Mode.STRICT:
            raise Refusal(
                Refused.NO_PASSWORD,
                _where("a user and a password", rules.shown.location.name),
                headers=challenge,
            )
        return fields
    pair = passwords.pair_of(encoded)
    if pair is None:
        raise Refusal(Refused.BAD_PASSWORD, "it is no Basic credential", headers=challenge)
    try:
        users = keyring.users(rules.users)
    except KeysAway:
        raise Refusal(Refused.KEYS_AWAY, "ask the policy's operator") from None
    is_good = users.knows(*pair) or (yield Work(compute=lambda: users.check(*pair)))
    if not is_good:
        raise Refusal(Refused.BAD_PASSWORD, "no such user and password", headers=challenge)
    ask.said["basicAuth"] = {"username": pair[0]}
    return showing.take_out(rules.shown, ask, fields)


def by_key(rules: ApiKeys, ask: Ask, fields: Fields) -> Fields:
    """Raises Refusal."""
    key = showing.find(rules.shown, ask)
    if key is None:
        if rules.mode is Mode.STRICT:
            raise Refusal(Refused.NO_KEY, _where("an API key", rules.shown.location.name))
        return fields
    # Looked up by its digest, so that no comparison tells how much of a guess was right.
    found = rules.by_digest.get(hashlib.sha256(key.encode("utf-8", "replace")).hexdigest())
    if found is None:
        if rules.mode is Mode.PERMISSIVE:
            return fields
        raise Refusal(Refused.BAD_KEY, "no such key")
    ask.said["apiKey"] = dict(found.metadata)
    ask.models = found.models
    return showing.take_out(rules.shown, ask, fields)


def _where(what: str, name: str) -> str:
    return f"this policy wants {what} in {name}"
