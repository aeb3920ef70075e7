"""What an agent does while its proxy is killed: holds a tunnel, hammers, inherits, takes the port.

Runs inside the Sandbox. Prints `ready` once the tunnel stands; whoever started it then kills the
proxy. At the end it prints what happened, as JSON.
"""

import json
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import Final

from bypass.probes.heirs import ports_to
from bypass.probes.runner import say
from bypass.probes.tunnels import PROXY, connect, page
from bypass.probes.wire import own_address

_PATIENCE_SECONDS: Final = 60.0
_HOLD_SECONDS: Final = 8.0
_AFTERWARDS_SECONDS: Final = 5.0


class Hammer(threading.Thread):
    """Dials without a pause until it is told to stop."""

    def __init__(self, address: str, port: int, source: int) -> None:
        super().__init__(daemon=True)
        self._place = (address, port)
        self._source = source
        self.tried, self.passed, self.over = 0, 0, threading.Event()

    def run(self) -> None:
        """Every other attempt comes from the port that the dead proxy's connection had."""
        while not self.over.is_set():
            self.tried += 1
            self.passed += self._dial(self._source if self.tried % 2 else 0)

    def _dial(self, source: int) -> bool:
        with suppress(OSError), socket.socket() as made:
            made.settimeout(1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if source:
                made.bind((own_address(), source))
            made.connect(self._place)
            return True
        return False


def hold(host: str, address: str, *, squat: bool) -> None:
    """The whole siege.

    Args:
        host: A listed host.
        address: Where it is.
        squat: Whether to listen at the proxy's port while the proxy is dead.
    """
    _, raw = connect(f"{host}:443")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(raw, server_hostname=host) as tunnel:
        source = min(ports_to("tcp", address, 443), default=0)
        hammer = Hammer(address, 443, source)
        hammer.start()
        say("ready")
        told = {"inherited port": source, "tunnel": _until_cut(tunnel)}
    told["port"] = _take(PROXY) if squat else "left alone"
    told["back"] = _until_back(host, _AFTERWARDS_SECONDS if squat else _PATIENCE_SECONDS)
    hammer.over.set()
    hammer.join()
    say(json.dumps(told | {"tried": hammer.tried, "passed": hammer.passed}))


def _until_cut(tunnel: ssl.SSLSocket) -> str:
    tunnel.settimeout(_PATIENCE_SECONDS)
    try:
        return "data" if tunnel.recv(1) else "cut"
    except TimeoutError:
        return "open"
    except OSError:
        return "cut"


def _take(place: tuple[str, int]) -> str:
    """Listens there as soon as nobody else does, for some seconds."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end:
        with suppress(OSError), socket.socket() as made:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(place)
            made.listen()
            time.sleep(_HOLD_SECONDS)
            return "taken"
    return "not to be had"


def _until_back(host: str, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(OSError):
            if page(host).outcome == "through":
                return True
        time.sleep(0.2)
    return False
