"""The most recently used items of a data set, within a bound in bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """Something that knows how many bytes it holds."""

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        ...


Item = TypeVar("Item", bound=Sized)


class RecentItems(Generic[Item]):
    """What ``load`` made for the indices asked for last; one cache a process.

    Args:
        load: makes an item; picklable, where data workers are spawned.
        most_bytes: the bound; the item just asked for is kept even where it alone exceeds it.
    """

    def __init__(self, load: Callable[[int], Item], most_bytes: int) -> None:
        self.load, self.most_bytes = load, most_bytes
        self.nbytes = 0  # of the items kept
        self._items: OrderedDict[int, Item] = OrderedDict()

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, index: int) -> bool:
        return index in self._items

    def __getitem__(self, index: int) -> Item:
        if index in self._items:
            self._items.move_to_end(index)
            return self._items[index]
        item = self.load(index)
        self._items[index] = item
        self.nbytes += item.nbytes
        while len(self._items) > 1 and self.nbytes > self.most_bytes:
            self.nbytes -= self._items.popitem(last=False)[1].nbytes
        return item

    def __getstate__(self) -> dict[str, object]:
        # Workers start with an empty cache: a pickled one would be copied to each of them.
        return {**self.__dict__, "_items": OrderedDict(), "nbytes": 0}
