"""What the Security Profiles Operator 1.0 makes of an AppArmorProfile, as its golden files show.

Only as far as our object uses it. It stands in for that operator in unit tests and decides
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_ALWAYS = """
  deny @{PROC}/* w,
  deny @{PROC}/{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9]*}/** w,
  deny @{PROC}/sys/[^k]** w,
  deny @{PROC}/sys/kernel/{?,??,[^s][^h][^m]**} w,
  deny @{PROC}/sysrq-trigger rwklx,
  deny @{PROC}/mem rwklx,
  deny @{PROC}/kmem rwklx,
  deny @{PROC}/kcore rwklx,
  deny /sys/firmware/efi/efivars/** rwklx,
"""


def text(body: dict[str, Any]) -> str:
    """Return the profile it loads."""
    flags = f"({body['spec']['mode'].lower()},attach_disconnected,mediate_deleted)"
    rules = "".join(f"  {rule},\n" for rule in _rules(body["spec"]["abstract"]))
    return (
        "include <tunables/global>\n"
        f"profile {body['metadata']['name']} flags={flags} {{\n"
        f"  include <abstractions/base>\n{rules}{_ALWAYS}}}\n"
    )


def _rules(abstract: dict[str, Any]) -> Iterator[str]:
    executable, files = abstract["executable"], abstract["filesystem"]
    yield from (f"{path} ixr" for path in executable["allowedExecutables"])
    yield from (f"{path} mr" for path in executable["allowedLibraries"])
    for path in files["readOnlyPaths"]:
        yield from (f"{path} r", f"deny {path} wlk")
    for path in files["writeOnlyPaths"]:
        yield from (f"{path} wlk", f"deny {path} r")
    yield from (f"{path} rwlk" for path in files["readWritePaths"])
    ptrace = abstract["ptrace"]
    yield f"ptrace ({', '.join(ptrace['allowedAccess'])}) peer={ptrace['peer']}"
    yield from ("network raw", "network tcp", "network udp")
