"""What a document says of its logs, metrics and prices."""

from pathlib import Path

import msgspec

from gateway.egress.cel import Expression
from gateway.egress.config import forms, model
from lifecycle.strict import NotUnderstood

_LEVELS = frozenset(("trace", "debug", "info", "warn", "error"))
Catalogs = str | forms.CatalogSourceForm | tuple[forms.CatalogSourceForm, ...] | None


def catalogs(given: Catalogs) -> tuple[Path | bytes, ...]:
    """Files, or the catalog itself; of a model the first one that knows it counts."""
    if isinstance(given, str):
        return (Path(given),)
    sources = given if isinstance(given, tuple) else () if given is None else (given,)
    made: list[Path | bytes] = []
    for index, each in enumerate(sources):
        path = f"config.modelCatalog[{index}]"
        if (each.file is None) == (each.inline is None):
            raise NotUnderstood(path, "is either file or inline")
        if each.file is not None:
            made.append(Path(each.file))
        elif isinstance(each.inline, str):
            made.append(each.inline.encode())
        else:
            made.append(msgspec.json.encode(each.inline))
    return tuple(made)


def access_log(
    form: forms.AccessLogForm | None, older: forms.LoggingForm | None
) -> model.AccessLog:
    path = "frontendPolicies.accessLog"
    if form is None and older is not None:
        path, fields = "config.logging", older.fields
        form = forms.AccessLogForm(filter=older.filter, add=fields.add, remove=fields.remove)
    if form is None:
        return model.AccessLog()
    return model.AccessLog(
        filter=None if form.filter is None else Expression(form.filter, f"{path}.filter"),
        add=tuple((k, Expression(v, f"{path}.add.{k}")) for k, v in form.add.items()),
        remove=frozenset(form.remove),
    )


def log_level(form: forms.LoggingForm | None) -> str | None:
    if form is None or form.level is None:
        return None
    if form.level not in _LEVELS:
        known = ", ".join(sorted(_LEVELS))
        raise NotUnderstood("config.logging.level", f"{form.level[:40]!r} is none of {known}")
    return form.level


def metrics(form: forms.MetricsForm | None) -> model.Metrics:
    if form is None:
        return model.Metrics()
    for name in form.fields.add:
        if not name.isidentifier() or not name.isascii() or name == "decision":
            raise NotUnderstood(f"config.metrics.fields.add.{name}", "is taken, or no label's name")
    return model.Metrics(
        removed=frozenset(form.remove),
        labels=tuple(
            (k, Expression(v, f"config.metrics.fields.add.{k}")) for k, v in form.fields.add.items()
        ),
    )
