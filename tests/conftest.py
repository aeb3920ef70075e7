"""What all tests share: signals as in the foreground, and no race with a clock."""

import signal

from hypothesis import settings


def pytest_configure() -> None:
    """Makes Ctrl-C mean Ctrl-C again.

    A shell starts background jobs with SIGINT ignored, and children inherit that: tests of an
    interruption would wait for ever wherever CI runs in the background.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # A property does not become wrong because the machine is busy.
    settings.register_profile("ringfence", deadline=None)
    settings.load_profile("ringfence")
