"""Where a request is sent in place of where it was meant for: `urlRewrite`, `requestRedirect`."""

import re

from gateway.egress.config import model
from gateway.egress.config import policy_forms as forms
from lifecycle.strict import NotUnderstood


def rewrite(form: forms.RewriteForm | None, where: str) -> model.Rewrite | None:
    if form is None:
        return None
    authority, port = None, None
    if form.authority == "none":
        authority = ""
    elif isinstance(form.authority, forms.AuthorityForm):
        if form.authority.full is None and form.authority.host is None:
            port = form.authority.port
        else:
            authority = _written(form.authority, f"{where}.authority")
    return model.Rewrite(
        authority=authority,
        port=port,
        full_path=path(None if form.path is None else form.path.full, f"{where}.path.full"),
        prefix=path(None if form.path is None else form.path.prefix, f"{where}.path.prefix"),
    )


def _written(form: forms.AuthorityForm, path: str) -> str:
    said = [each for each in (form.full, form.host) if each is not None]
    if len(said) != 1 or (form.full is not None and form.port is not None):
        raise NotUnderstood(path, "is `full`, `host` with or without `port`, or `port`")
    return said[0] if form.port is None else f"{said[0]}:{form.port}"


def path(text: str | None, where: str) -> str | None:
    if text is not None and re.fullmatch(r"/[\x21\x22\x24-\x7e]*", text) is None:
        raise NotUnderstood(where, "is no path that begins with /")
    return text


def redirect(form: forms.RedirectForm | None, where: str) -> model.Redirect | None:
    if form is None:
        return None
    if not 300 <= form.status < 400:
        raise NotUnderstood(f"{where}.status", "is no redirect")
    return model.Redirect(
        scheme=form.scheme,
        host=None if form.authority is None else form.authority.full or form.authority.host,
        port=None if form.authority is None else form.authority.port,
        full_path=path(None if form.path is None else form.path.full, f"{where}.path.full"),
        prefix=path(None if form.path is None else form.path.prefix, f"{where}.path.prefix"),
        status=form.status,
    )
