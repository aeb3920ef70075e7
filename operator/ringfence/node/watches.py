"""Notices changes of directories and files at once, by inotify. I/O.

Only a hint when to look: whoever needs certainty looks regularly as well.
"""

from typing import Final

from inotify_simple import INotify, flags

CHILDREN: Final = int(flags.CREATE | flags.DELETE)
"""Of a directory: entries come and go."""
CONTENT: Final = int(flags.MODIFY)
"""Of a file: somebody wrote to it."""
EVERYTHING: Final = (
    CHILDREN
    | CONTENT
    | int(flags.ATTRIB | flags.MOVED_FROM | flags.MOVED_TO | flags.DELETE_SELF | flags.MOVE_SELF)
)
"""Of a directory: anything at all."""


class NoNotificationsError(Exception):
    """The kernel gives no more inotify instances; the message says which setting to raise."""


class Watches:
    """What is watched, and the key under which a change of it is told."""

    def __init__(self) -> None:
        """Asks the kernel for an inotify instance.

        Raises:
            NoNotificationsError: There is none left.
        """
        try:
            self._inotify = INotify(nonblocking=True)
        except OSError as error:
            message = f"inotify: {error.strerror}; raise fs.inotify.max_user_instances on the node"
            raise NoNotificationsError(message) from error
        self._keys: dict[int, str] = {}
        self._descriptors: dict[str, int] = {}

    def fileno(self) -> int:
        """Readable when something changed."""
        return int(self._inotify.fileno())

    def close(self) -> None:
        """Ends all watches."""
        self._inotify.close()

    def watch(self, path: str, mask: int, key: str) -> bool:
        """Watches a path; says whether it is new, as then nobody looked at it since it came."""
        if path in self._descriptors:
            return False
        try:
            descriptor = int(self._inotify.add_watch(path, mask))
        except (FileNotFoundError, NotADirectoryError):
            return False
        self._descriptors[path] = descriptor
        self._keys[descriptor] = key
        return True

    def changes(self) -> set[str] | None:
        """Keys of what changed; None: too much happened, anything may have changed."""
        found: set[str] = set()
        for event in self._inotify.read(timeout=0):
            if event.mask & flags.Q_OVERFLOW:
                return None
            if event.mask & flags.IGNORED:
                self._forget(event.wd)
            elif event.wd in self._keys:
                found.add(self._keys[event.wd])
            if event.mask & flags.MOVE_SELF:
                self._inotify.rm_watch(event.wd)  # it has another path now
        return found

    def _forget(self, descriptor: int) -> None:
        if self._keys.pop(descriptor, None) is not None:
            kept = {path: wd for path, wd in self._descriptors.items() if wd != descriptor}
            self._descriptors = kept
