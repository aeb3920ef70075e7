"""What is done inside node 1 from outside: running programs and loading images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster import oci
from cluster.shell import in_node, run

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess

    from cluster.supervisor import Supervisor


class Node:
    """Node 1, seen from the host."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def exec(
        self, *argv: str, stdin: str | None = None, check: bool = True
    ) -> CompletedProcess[str]:
        """Run a program in the node's namespaces."""
        return run(*self._enter(*argv), stdin=stdin, check=check)

    def entered(self) -> bool:
        """Whether the node's pid 1 has moved into its own root and became the init."""
        return self.exec("cat", "/proc/1/comm", check=False).stdout.strip() == "tini"

    def containerd_answers(self) -> bool:
        """Whether containerd serves and knows its plugins."""
        return self._ctr("version", check=False).returncode == 0

    def load_image(self, archive: Path) -> bool:
        """Import an OCI archive; False if the same image was there already."""
        if lists_image(self._ctr("images", "list").stdout, archive):
            return False
        with archive.open("rb") as data:
            run(*self._enter("ctr", "-n", "k8s.io", "images", "import", "-"), stdin=data)
        return True

    def _ctr(self, *words: str, check: bool = True) -> CompletedProcess[str]:
        return self.exec("ctr", "-n", "k8s.io", *words, check=check)

    def _enter(self, *argv: str) -> list[str]:
        return in_node(self._supervisor.node_pid(), *argv)


def lists_image(listing: str, archive: Path) -> bool:
    """Whether a listing by `ctr` has an archive's image under its name.

    The digest alone does not tell: images that lost their name to a newer one stay.
    """
    name, digest = oci.name_and_digest(archive)
    lines = (line.split() for line in listing.splitlines())
    return any(words[0] == name and digest in words for words in lines)
