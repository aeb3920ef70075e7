"""What unit tests and end-to-end tests share: the signals of a program in the foreground."""

import signal


def pytest_configure() -> None:
    """Makes Ctrl-C mean Ctrl-C again.

    A shell starts background jobs with SIGINT ignored, and children inherit that: tests of an
    interruption would wait for ever wherever CI runs in the background.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
