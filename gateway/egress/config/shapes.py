"""What several forms are made of: files and secrets, matches, places in a request."""

import msgspec


class Form(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename="camel",
):
    """camelCase outside, nothing unknown."""


class FileForm(Form, frozen=True, kw_only=True):
    file: str


Secret = str | FileForm


class PathForm(Form, frozen=True, kw_only=True):
    exact: str | None = None
    path_prefix: str | None = None
    regex: str | None = None


class ValueForm(Form, frozen=True, kw_only=True):
    exact: str | None = None
    regex: str | None = None


class NamedForm(Form, frozen=True, kw_only=True):
    name: str
    value: ValueForm


class MatchForm(Form, frozen=True, kw_only=True):
    path: PathForm | None = None
    method: str | None = None
    headers: tuple[NamedForm, ...] = ()
    query: tuple[NamedForm, ...] = ()


class HeaderPlace(Form, frozen=True, kw_only=True):
    name: str
    prefix: str = ""


class NamePlace(Form, frozen=True, kw_only=True):
    name: str


class LocationForm(Form, frozen=True, kw_only=True):
    header: HeaderPlace | None = None
    query_parameter: NamePlace | None = None
    cookie: NamePlace | None = None
