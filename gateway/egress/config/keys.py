"""Credentials of a document, as policies of routes and backends say them: `backendAuth`."""

import re
from pathlib import Path

from gateway.egress.config import model
from gateway.egress.config import policy_forms as forms
from gateway.egress.config.policies import TOKEN, header_name, header_value
from gateway.egress.config.shapes import FileForm, LocationForm, Secret
from gateway.egress.config.values import BEARER, Location, Place
from lifecycle.strict import NotUnderstood


def source_of(secret: Secret) -> model.Source:
    if isinstance(secret, FileForm):
        return model.Source(file=Path(secret.file))
    return model.Source(value=secret)


def location(form: LocationForm | None, path: str, default: Location = BEARER) -> Location:
    if form is None:
        return default
    given = [each for each in (form.header, form.query_parameter, form.cookie) if each is not None]
    if len(given) != 1:
        raise NotUnderstood(path, "is one of header, queryParameter and cookie")
    if form.header is not None:
        return Location(
            name=header_name(form.header.name, f"{path}.header.name"),
            prefix=header_value(form.header.prefix, f"{path}.header.prefix"),
        )
    if form.cookie is not None:
        if TOKEN.fullmatch(form.cookie.name) is None:
            raise NotUnderstood(f"{path}.cookie.name", "is no cookie's name")
        return Location(place=Place.COOKIE, name=form.cookie.name)
    assert form.query_parameter is not None
    if re.fullmatch(r"[A-Za-z0-9._~-]+", form.query_parameter.name) is None:
        raise NotUnderstood(f"{path}.queryParameter.name", "is no parameter's name")
    return Location(place=Place.QUERY, name=form.query_parameter.name)


def backend_auth(
    form: forms.BackendAuthForm | None, hosts: tuple[str, ...], path: str
) -> tuple[model.Credential, ...]:
    """Primary first, then in the list's order. `hosts`: where it may go, and nowhere else."""
    if form is None:
        return ()
    where = f"{path}.backendAuth"
    if form.key is not None and form.passthrough is not None:
        raise NotUnderstood(where, "is one of key and passthrough; more goes into credentials")
    made: list[model.Credential] = []

    def add(source: model.Source, place: Location, *, passes: bool = False) -> None:
        made.append(
            model.Credential(name=where, hosts=hosts, source=source, location=place, passes=passes)
        )

    if isinstance(form.key, str):
        add(model.Source(value=form.key), BEARER)
    elif form.key is not None:
        add(*_key(form.key, f"{where}.key"))
    if form.passthrough is not None:
        at = f"{where}.passthrough.location"
        add(model.Source(value=""), location(form.passthrough.location, at), passes=True)
    for index, each in enumerate(form.credentials):
        at = f"{where}.credentials[{index}]"
        add(source_of(each.key), location(each.location, f"{at}.location"))
    if not made:
        raise NotUnderstood(where, "has no key")
    if not hosts:
        raise NotUnderstood(
            where, "would go to any host: give the route hostnames, or its backend a host"
        )
    return tuple(made)


def _key(form: forms.KeyForm, path: str) -> tuple[model.Source, Location]:
    if (form.file is None) == (form.value is None):
        raise NotUnderstood(path, "has either file or value")
    if form.file is not None:
        if form.location is not None:
            raise NotUnderstood(f"{path}.location", "goes with value: {value: {file}, location}")
        return model.Source(file=Path(form.file)), BEARER
    assert form.value is not None
    return source_of(form.value), location(form.location, f"{path}.location")
