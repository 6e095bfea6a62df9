"""What a document says of logs, metrics and prices."""

from pathlib import Path

import pytest

from gateway.egress.config import forms, settings
from lifecycle.strict import NotUnderstood
from tests.gateway.egress.documents import document


def test_catalogs_are_files_or_stand_in_the_document() -> None:
    made = document(
        "config: {modelCatalog: [{file: a}, {inline: {providers: {}}}, {inline: '{}'}]}"
    )
    assert made.catalogs == (Path("a"), b'{"providers":{}}', b"{}")
    assert document("config: {modelCatalog: a}").catalogs == (Path("a"),)
    with pytest.raises(NotUnderstood, match="either file or inline"):
        settings.catalogs((forms.CatalogSourceForm(),))


def test_the_older_words_for_the_access_log_are_read_too() -> None:
    text = "config: {logging: {filter: 'true', fields: {add: {a: actor.id}, remove: [path]}}}"
    made = document(text).access_log
    assert made.filter is not None and made.add[0][0] == "a" and made.remove == {"path"}
    newer = document(text + "\nfrontendPolicies: {accessLog: {add: {b: actor.id}}}").access_log
    assert newer.filter is None and newer.add[0][0] == "b"


def test_levels_and_labels_are_checked() -> None:
    assert document("config: {logging: {level: debug, format: json}}").log_level == "debug"
    for text, why in (
        ("{logging: {level: loud}}", "none of"),
        ("{logging: {format: text}}", "not supported by rouse"),
        ("{metrics: {fields: {add: {'a b': '1'}}}}", "no label's name"),
        ("{metrics: {fields: {add: {decision: '1'}}}}", "is taken"),
    ):
        with pytest.raises(NotUnderstood, match=why):
            document(f"config: {text}")
