"""Text of strangers on a terminal."""

import pytest

from ringfence.printable import harmless, printable


@pytest.mark.parametrize("evil", ["\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\r", "\x08", "\u202e"])
def test_nothing_but_colours_lines_and_tabs_gets_through(evil: str) -> None:
    assert not set(harmless(f"a{evil}b")) & set("\x1b\x07\x9b\r\x08\u202e")
    assert not set(printable(f"a{evil}b")) & set("\x1b\x07\x9b\r\x08\u202e\n\t")


def test_colours_lines_and_tabs_stay() -> None:
    assert harmless("\x1b[1;31mred\x1b[0m\n\tü") == "\x1b[1;31mred\x1b[0m\n\tü"
