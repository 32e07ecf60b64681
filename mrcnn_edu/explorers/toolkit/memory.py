"""What explorers keep because it takes long to make, under threads that ask at the same time."""

import threading
from collections.abc import Callable, Hashable


class Memory:
    """Values by key, each made once; a second thread that asks for one waits for the first.

    most  how many are kept: the oldest goes; None keeps all
    """

    def __init__(self, most: int | None = None):
        self.most, self._kept = most, {}
        # One that makes a value may ask for another.
        self._lock = threading.RLock()

    def get(self, key: Hashable, make: Callable):
        """The value of a key; `make()` gives it where it is not known."""
        with self._lock:
            if key not in self._kept:
                value = make()
                while self.most is not None and len(self._kept) >= self.most:
                    self._kept.pop(next(iter(self._kept)))
                self._kept[key] = value
            return self._kept[key]

    def forget(self, wanted: Callable[[Hashable], bool]) -> None:
        """Forget the keys for which `wanted(key)` is true."""
        with self._lock:
            self._kept = {key: value for key, value in self._kept.items() if not wanted(key)}
