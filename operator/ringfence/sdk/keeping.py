"""Keeps the beginning of what a command writes, and passes it on as text. Pure."""

import codecs
from collections.abc import Callable
from typing import Final

LONGEST: Final = 10 * 1024 * 1024
"""Bytes of each stream that are kept unless somebody says otherwise."""

OnText = Callable[[str], object]


class Keeping:
    """One stream: bounded in memory, however much comes."""

    def __init__(self, longest: int, on_text: OnText | None = None) -> None:
        self._kept = bytearray()
        self._longest = longest
        self._on_text = on_text
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.truncated = False

    def take(self, data: bytes) -> None:
        """The next piece."""
        room = self._longest - len(self._kept)
        self._kept += data[:room]
        self.truncated = self.truncated or len(data) > room
        self._tell(self._decoder.decode(data))

    def finish(self) -> None:
        """No more comes: what was left of a character is told."""
        self._tell(self._decoder.decode(b"", final=True))

    @property
    def data(self) -> bytes:
        """What was kept."""
        return bytes(self._kept)

    @property
    def text(self) -> str:
        """What was kept, as text; bytes that are none are replaced."""
        return self._kept.decode(errors="replace")

    def _tell(self, text: str) -> None:
        if text and self._on_text is not None:
            self._on_text(text)
