"""How a command in a container ended, as the API server says it. Pure."""

import json
from typing import Final

CUT_OFF: Final = "the connection ended before the command did"


def ending(status_text: str) -> tuple[int | None, str]:
    """Exit status, or why there is none, in the Status object at the end of an exec."""
    if not status_text:
        return None, CUT_OFF
    try:
        status = json.loads(status_text)
    except ValueError:
        return None, status_text
    if status.get("status") == "Success":
        return 0, ""
    causes = (status.get("details") or {}).get("causes") or []
    codes = [cause.get("message") for cause in causes if cause.get("reason") == "ExitCode"]
    if codes:
        return int(codes[0]), ""
    return None, str(status.get("message"))
