"""YAML as we read it: plain values only, a key given twice is refused, errors say the line."""

from collections.abc import Hashable, Iterator
from typing import Any

import yaml

from lifecycle.strict import NotUnderstood

_Base: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Loader(_Base):  # type: ignore[misc]  # which of the two it is, is known only at run time
    """Refuses what YAML would let pass: the last of two equal keys winning in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key_node, _value in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue  # `<<: *base` is no key; it may be overridden by what stands beside it
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable):
                if key in seen:
                    line = key_node.start_mark.line + 1
                    raise NotUnderstood("", f"line {line}: {key!r} is given twice")
                seen.add(key)
        made: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return made


def load_all(text: str | bytes, loader: type[Loader] = Loader) -> Iterator[object]:
    """Each document of the stream as builtins. Raises NotUnderstood. `loader`: one that does more
    to what it reads."""
    try:
        yield from yaml.load_all(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise NotUnderstood("", f"{line}not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, NotUnderstood):
            raise
        raise NotUnderstood("", f"not YAML: {error}") from error
