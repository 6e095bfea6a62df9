"""Variables in a document: `$VAR`, `${VAR}`, `${VAR:-default}`, `$$`, a leading `~/`.

They are expanded in each scalar after parsing, so that no value can change the document around it
and nothing in a comment is looked at. A plain scalar is then typed again: `port: ${PORT}` works.
"""

import re
from collections.abc import Callable, Mapping

import yaml

from lifecycle.strict import NotUnderstood
from lifecycle.yaml_text import Loader, load_all

_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\})"
)
_STRING = "tag:yaml.org,2002:str"


def read(text: str | bytes, environ: Mapping[str, str]) -> object:
    """The one document of `text` as builtins, expanded. Raises NotUnderstood."""

    class Expanding(Loader):
        def construct_document(self, node: yaml.Node) -> object:
            _expand(node, environ, self.resolve)
            return super().construct_document(node)

    documents = [each for each in load_all(text, Expanding) if each is not None]
    if len(documents) > 1:
        raise NotUnderstood("", "is more than one document")
    return documents[0] if documents else {}


def _expand(root: yaml.Node, environ: Mapping[str, str], resolve: Callable[..., str]) -> None:
    seen: set[int] = set()  # an anchor's node is met once for each alias of it
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            waiting += [each for pair in node.value for each in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.ScalarNode):
            _expand_scalar(node, environ, resolve)


def _expand_scalar(
    node: yaml.ScalarNode, environ: Mapping[str, str], resolve: Callable[..., str]
) -> None:
    line = node.start_mark.line + 1 if node.start_mark else 0
    value = expanded(node.value, environ, line=line)
    if value == node.value:
        return
    node.value = value
    is_plain = not node.style
    node.tag = resolve(yaml.ScalarNode, value, (True, False)) if is_plain else _STRING


def expanded(text: str, environ: Mapping[str, str], *, line: int = 0) -> str:
    """Raises NotUnderstood for a variable that is not set; its value is never told."""

    def value_of(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        name = match["name"] or match["braced"]
        value = environ.get(name)
        if match["default"] is not None and not value:
            return match["default"]
        if value is None:
            where = f"line {line}: " if line else ""
            raise NotUnderstood("", f"{where}${name} is not set (a plain $ is written $$)")
        return value

    if text.startswith("~/") and (home := environ.get("HOME")):
        text = home.replace("$", "$$") + text[1:]
    return _VARIABLE.sub(value_of, text) if "$" in text else text
