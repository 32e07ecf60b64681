"""Ctrl-C, the stop button and SIGTERM while a run goes on: the first asks it to stop, the second ends it at once."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager


class Interrupts:
    """Within it the first interrupt is only counted, so that no step and no file is left half done; the run looks at
    `asked` where it can stop. The second raises KeyboardInterrupt, wherever it comes.

    asked   how many have come
    source  signal handlers run in the main thread only; in another one nothing is held and nothing counted
    """

    def __init__(self):
        self.asked, self._waits, self._before = 0, False, {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number, replaced in self._handlers():
                self._before[number] = replaced
                signal.signal(number, self._came)
        return self

    @staticmethod
    def _handlers():
        """The signals to take over. A process that ignores Ctrl-C, or ends in its own way, goes on doing so."""
        interrupt, end = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        if interrupt not in (None, signal.SIG_IGN):
            yield signal.SIGINT, interrupt
        if end is signal.SIG_DFL:
            yield signal.SIGTERM, end

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _came(self, number, frame) -> None:
        self.asked += 1
        if self.asked > 1 or self._waits:
            raise KeyboardInterrupt

    @contextmanager
    def at_once(self):
        """Within it the first interrupt raises too: for work that may be cut anywhere."""
        if self.asked:
            raise KeyboardInterrupt
        self._waits = True
        try:
            yield
        finally:
            self._waits = False


def leave_interrupts_to_the_run(worker: int) -> None:
    """For a process that prepares batches: interrupts reach the whole group, and the run decides when workers end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Only the first: who terminates a worker by itself comes again.
    signal.signal(signal.SIGTERM, lambda number, frame: signal.signal(signal.SIGTERM, signal.SIG_DFL))


def end_at_once(workers) -> None:
    """Kill processes that prepare batches, whatever they wait for: to ask them first takes seconds for each."""
    main = threading.current_thread() is threading.main_thread()
    # Torch listens for the end of its workers and would raise an error of its own over the one that is under way.
    listener = signal.signal(signal.SIGCHLD, signal.SIG_DFL) if main and hasattr(signal, "SIGCHLD") else None
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.join(5)
    if listener is not None:
        signal.signal(signal.SIGCHLD, listener)
