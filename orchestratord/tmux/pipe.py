"""The two pipes of a control client on the loop: bytes in, bytes out.

Plain descriptors, because uvloop closes those of its pipe transports twice, the
second time when the number may be somebody else's, and leaves copies of them
open in children.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

_CHUNK = 1 << 16


class Pipes:
    """Owns both descriptors. ``received`` is called with what comes, ``ended`` once at its end."""

    def __init__(
        self,
        reading: int,
        writing: int,
        received: Callable[[bytes], None],
        ended: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._reading, self._writing = reading, writing
        self._received, self._ended = received, ended
        self._unsent = bytearray()
        self._finishing = False
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        self._loop.add_reader(reading, self._readable)

    @property
    def writable(self) -> bool:
        """Whether anything can still be written."""
        return self._writing >= 0 and not self._finishing

    def write(self, data: bytes) -> None:
        """Send bytes in order; what does not fit now is sent when it does."""
        if not self.writable:
            return
        waiting = bool(self._unsent)
        self._unsent += data
        if not waiting:
            self._flush()
            if self._unsent and self._writing >= 0:
                self._loop.add_writer(self._writing, self._flush)

    def finish(self) -> None:
        """Close what is written to, once all is sent; go on reading."""
        self._finishing = True
        if not self._unsent:
            self._close_writing()

    def close(self) -> None:
        """Close both at once; neither callback is called any more."""
        self._close_writing()
        self._close_reading()

    def _flush(self) -> None:
        try:
            del self._unsent[: os.write(self._writing, self._unsent)]
        except BlockingIOError:
            return
        except OSError:  # nobody reads any longer; that is heard from the other pipe
            self._close_writing()
            return
        if not self._unsent:
            self._loop.remove_writer(self._writing)
            if self._finishing:
                self._close_writing()

    def _readable(self) -> None:
        try:
            data = os.read(self._reading, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._received(data)
        else:
            self._close_reading()
            self._ended()

    def _close_writing(self) -> None:
        if self._writing >= 0:
            self._loop.remove_writer(self._writing)
            os.close(self._writing)
            self._writing = -1
            self._unsent.clear()

    def _close_reading(self) -> None:
        if self._reading >= 0:
            self._loop.remove_reader(self._reading)
            os.close(self._reading)
            self._reading = -1
