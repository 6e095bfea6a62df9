"""What is rouse's own in a document: credentials by name, and budgets."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from gateway.egress import hosts
from gateway.egress.cel import Expression
from gateway.egress.config import keys, model
from gateway.egress.config import our_forms as forms
from lifecycle.strict import NotUnderstood
from lifecycle.trust import is_loopback

_PLACEHOLDER = re.compile(r"[A-Za-z0-9._~-]{8,128}")
LONGEST_WINDOW_S = 31 * 86400


def credentials(given: tuple[forms.OurCredentialForm, ...]) -> tuple[model.Credential, ...]:
    made: dict[str, model.Credential] = {}
    for index, form in enumerate(given):
        path = f"rouse.credentials[{index}]"
        if form.name in made:
            raise NotUnderstood(f"{path}.name", "is taken")
        made[form.name] = _credential(form, path)
    return tuple(made.values())


def _credential(form: forms.OurCredentialForm, path: str) -> model.Credential:
    if not form.hosts:
        raise NotUnderstood(f"{path}.hosts", "is empty: say where it may go")
    ways = [each for each in ("location", "basic", "aws") if getattr(form, each) is not None]
    if len(ways) > 1:
        raise NotUnderstood(path, "is one of location, basic and aws")
    if (form.aws is None) == (form.source is None):
        raise NotUnderstood(path, "has `from`, or `aws` with its own keys")
    if form.placeholder is not None:
        if ways:
            raise NotUnderstood(f"{path}.placeholder", f"goes where it stands, not by {ways[0]}")
        if _PLACEHOLDER.fullmatch(form.placeholder) is None:
            raise NotUnderstood(
                f"{path}.placeholder", "is 8 to 128 of A-Z a-z 0-9 . _ ~ -, fit for any place"
            )
    if form.basic is not None and ":" in form.basic.username:
        raise NotUnderstood(f"{path}.basic.username", "holds a colon")
    return model.Credential(
        name=form.name,
        hosts=tuple(
            hosts.check_pattern(each, f"{path}.hosts[{i}]") for i, each in enumerate(form.hosts)
        ),
        source=model.Source(value="")
        if form.source is None
        else _source(form.source, f"{path}.from"),
        when=None if form.when is None else Expression(form.when, f"{path}.for"),
        placeholder=form.placeholder,
        location=keys.location(form.location, f"{path}.location"),
        username=None if form.basic is None else form.basic.username,
        aws=None if form.aws is None else _aws(form.aws),
        plain_http=form.plain_http,
    )


def _source(form: forms.SourceForm, path: str) -> model.Source:
    kinds = ("file", "env", "command", "http", "oauth2")
    if sum(getattr(form, each) is not None for each in kinds) != 1:
        raise NotUnderstood(path, f"is exactly one of {', '.join(kinds)}")
    if form.command is not None and not form.command:
        raise NotUnderstood(f"{path}.command", "is empty")
    ttl_s = form.ttl.finite
    if ttl_s is None or ttl_s < 1:
        raise NotUnderstood(f"{path}.ttl", "is at least 1s, and has an end")
    return model.Source(
        file=None if form.file is None else Path(form.file),
        env=form.env,
        command=form.command,
        http=None
        if form.http is None
        else model.HttpSource(
            url=_url(form.http.url, f"{path}.http.url"),
            headers=tuple((k, keys.source_of(v)) for k, v in form.http.headers.items()),
            field=form.http.field,
        ),
        oauth=None
        if form.oauth2 is None
        else model.OAuth(
            token_url=_url(form.oauth2.token_url, f"{path}.oauth2.tokenUrl"),
            client_id=form.oauth2.client_id,
            client_secret=keys.source_of(form.oauth2.client_secret),
            scopes=form.oauth2.scopes,
        ),
        ttl_s=ttl_s,
    )


def _url(text: str, path: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NotUnderstood(path, "is no http(s) URL")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise NotUnderstood(path, "secrets come over https, or from this machine")
    return text


def _aws(form: forms.AwsForm) -> model.Aws:
    token = form.session_token
    return model.Aws(
        access_key_id=keys.source_of(form.access_key_id),
        secret_access_key=keys.source_of(form.secret_access_key),
        session_token=None if token is None else keys.source_of(token),
        service=form.service,
        region=form.region,
    )


def budgets(given: tuple[forms.BudgetForm, ...]) -> tuple[model.Budget, ...]:
    made: dict[str, model.Budget] = {}
    for index, form in enumerate(given):
        path = f"rouse.budgets[{index}]"
        window_s = form.window.rolling.finite
        if window_s is None or not 1 <= window_s <= LONGEST_WINDOW_S:
            raise NotUnderstood(f"{path}.window.rolling", "is between 1s and 31 days")
        if form.limit.amount <= 0:
            raise NotUnderstood(f"{path}.limit.amount", "is more than 0")
        if form.name in made or re.fullmatch(r"[a-z0-9-]{1,63}", form.name) is None:
            raise NotUnderstood(f"{path}.name", "is taken, or not of a-z, 0-9 and -")
        made[form.name] = model.Budget(
            name=form.name,
            unit=form.limit.unit,
            amount=form.limit.amount,
            window_s=window_s,
            blocks=form.on_budget_exceeded == "Block",
            per=form.per,
            when=None if form.when is None else Expression(form.when, f"{path}.for"),
        )
    return tuple(made.values())
