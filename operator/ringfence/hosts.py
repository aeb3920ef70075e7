"""Host names of the egress allowlist: one canonical spelling, and everything else refused. Pure.

This is where a name that a user wrote becomes a rule that the proxy enforces, so names are parsed
strictly. It must not resolve a name.
"""

import re

MAX_NAME = 253
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_FORBIDDEN = {
    "\0": "a NUL byte",
    "@": "user information",
    "[": "an IP literal",
    "/": "a path or URL",
    ":": "a port or an IP literal (ports have a field of their own)",
}


def _refuse(text: str, why: str) -> ValueError:
    return ValueError(f"egress host {text[:80]!r}: {why}")


def _check_characters(text: str) -> None:
    for character, what in _FORBIDDEN.items():
        if character in text:
            raise _refuse(text, f"contains {what}; give a plain host name such as 'a.example.org'")
    if not text.isascii():
        raise _refuse(text, "not ASCII; write international names in their 'xn--' form")


def _check_a_label(text: str, label: str) -> None:
    encoded = label.removeprefix("xn--")
    try:
        decoded = encoded.encode().decode("punycode")
        canonical = not decoded.isascii() and decoded.encode("punycode").decode() == encoded
    except UnicodeError:
        canonical = False
    if not canonical:
        raise _refuse(text, f"label {label!r} is not a valid international ('xn--') label")


def _check_label(text: str, label: str) -> None:
    if not _LABEL.fullmatch(label):
        raise _refuse(
            text,
            f"label {label!r} must be 1 to 63 letters, digits or '-', and not begin or end with '-'"
            " (no trailing dot, '*' only as a leading '*.')",
        )
    if label.startswith("xn--"):
        _check_a_label(text, label)
    elif label[2:4] == "--":
        raise _refuse(text, f"label {label!r} has '--' in third place, which DNS reserves")


def parse_host(text: str) -> str:
    """Return the one canonical spelling of an allowed host name.

    Args:
        text: a fully qualified name, or `*.` followed by one (any name below it, not itself).

    Returns:
        The name in lower case.

    Raises:
        ValueError: the text is anything else, such as an address in any spelling; says why.
    """
    _check_characters(text)
    host = text.lower()
    if len(host) > MAX_NAME:
        raise _refuse(text, f"longer than {MAX_NAME} characters")
    labels = host.removeprefix("*.").split(".")
    for label in labels:
        _check_label(text, label)
    if _NUMBER.fullmatch(labels[-1]):
        raise _refuse(text, "an IP literal; only names can be allowed")
    if len(labels) == 1:
        raise _refuse(text, "needs at least two labels, such as 'example.org' or '*.example.org'")
    return host
