"""Refusals by name: what agentgateway knows and we do not do is never taken for a typing error."""

import typing

import msgspec

from gateway.egress.config.refused import REFUSED, REFUSED_VALUES
from lifecycle.strict import NotUnderstood, alternatives

WHY = "not supported by rouse"


def check(given: object, form: object, path: str = "") -> None:
    """Raise NotUnderstood at the first field of `given` that `form` refuses by name."""
    if isinstance(given, dict):
        for kind in alternatives({form}):
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                _check_fields(given, kind, path)
            elif typing.get_origin(kind) is dict:
                for key, value in given.items():
                    check(value, typing.get_args(kind)[1], _join(path, key))
            elif typing.get_origin(kind) is tuple and "conditional" in given:
                raise NotUnderstood(_join(path, "conditional"), WHY)
    elif isinstance(given, list | tuple):
        for kind in alternatives({form}):
            if typing.get_origin(kind) is tuple:
                for index, value in enumerate(given):
                    check(value, typing.get_args(kind)[0], f"{path}[{index}]")


def _check_fields(given: dict[typing.Any, object], form: type[msgspec.Struct], path: str) -> None:
    refused = REFUSED.get(form, frozenset())
    kinds = {field.encode_name: field.type for field in msgspec.structs.fields(form)}
    for key, value in given.items():
        where = _join(path, key)
        if key in refused:
            raise NotUnderstood(where, WHY)
        values = REFUSED_VALUES.get((form, key), frozenset())
        for at, each in value.items() if isinstance(value, dict) else (("", value),):
            if isinstance(each, str) and each in values:
                raise NotUnderstood(_join(where, at) if at else where, f"{each} is {WHY}")
        if key in kinds:
            check(value, kinds[key], where)


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)
