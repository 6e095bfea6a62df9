"""Which file of the host each file of a guest's is, by the number that the guest has for it.

A number stands for one inode, by whichever of its names it was looked up last. All of it can be
written down as names, and taken up again where the same files lie somewhere else: an image of a
guest holds the numbers, and the files' inodes are others there.
"""

import os
from dataclasses import dataclass
from typing import Any

ROOT = 1


@dataclass(slots=True)
class Node:
    number: int
    share: int
    parent: int
    """Number of its directory; 0: it is the share's own root."""
    name: bytes
    known: int = 0
    """How often the guest was told of it, less how often it forgot."""
    key: tuple[int, int, int] | None = None
    """Share, device, inode; None once no name is left of it."""


class Nodes:
    """`<Nodes 7 known>`"""

    def __init__(self) -> None:
        self._by_number: dict[int, Node] = {}
        self._by_key: dict[tuple[int, int, int], Node] = {}
        self._next = ROOT + 1

    def __repr__(self) -> str:
        return f"<Nodes {len(self._by_number)} known>"

    def get(self, number: int) -> Node | None:
        return self._by_number.get(number)

    def meet(self, share: int, parent: int, name: bytes, about: os.stat_result) -> Node:
        """The guest is told of the file of this name."""
        key = (share, about.st_dev, about.st_ino)
        node = self._by_key.get(key)
        if node is None:
            node = Node(self._next, share, parent, name, key=key)
            self._next += 1
            self._by_number[node.number] = self._by_key[key] = node
        node.parent, node.name = parent, name
        node.known += 1
        return node

    def forget(self, number: int, times: int) -> None:
        node = self._by_number.get(number)
        if node is None:
            return
        node.known -= times
        if node.known <= 0:
            del self._by_number[number]
            self._part(node)

    def gone(self, share: int, about: os.stat_result) -> None:
        """Its last name was removed: its inode's number may soon be another file's."""
        if (node := self._by_key.get((share, about.st_dev, about.st_ino))) is not None:
            self._part(node)

    def moved(self, share: int, about: os.stat_result, parent: int, name: bytes) -> None:
        if (node := self._by_key.get((share, about.st_dev, about.st_ino))) is not None:
            node.parent, node.name = parent, name

    def path(self, node: Node) -> bytes | None:
        """Below its share; None when it has no name any more."""
        parts: list[bytes] = []
        for _ in range(4096):
            if node.key is None:
                return None
            if node.parent == 0:
                return b"/".join(reversed(parts))
            parts.append(node.name)
            above = self._by_number.get(node.parent)
            if above is None:
                return None
            node = above
        return None

    def told(self) -> list[list[Any]]:
        """As plain data. Parents stand before their children's use: order is of no matter."""
        return [
            [n.number, n.share, n.parent, n.name.hex(), n.known, n.key is not None]
            for n in self._by_number.values()
        ]

    def take_up(self, told: list[list[Any]]) -> None:
        """Those of an image; where each lies now is to be said by `found`."""
        for number, share, parent, name, known, _ in told:
            node = Node(number, share, parent, bytes.fromhex(name), known)
            self._by_number[number] = node
            self._next = max(self._next, number + 1)
        # For the way to each; `found` puts the real one in its place.
        for number, *_, is_named in told:
            if is_named:
                self._by_number[number].key = (-1, -1, number)

    def found(self, node: Node, about: os.stat_result | None) -> None:
        node.key = None if about is None else (node.share, about.st_dev, about.st_ino)
        if node.key is not None:
            self._by_key[node.key] = node

    def all(self) -> list[Node]:
        return list(self._by_number.values())

    def _part(self, node: Node) -> None:
        if node.key is not None and self._by_key.get(node.key) is node:
            del self._by_key[node.key]
        node.key = None
