"""The entry point where the command line's libraries are missing."""

import sys

import pytest

from ringfence.cli import main


def test_missing_libraries_are_answered_with_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ringfence.cli.app", None)
    with pytest.raises(SystemExit, match=r"pip install 'ringfence\[cli\]'"):
        main.main()
