"""The security profiles of the agent container: one table, a generator and a node installer.

`syscalls` holds the decisions, `seccomp` turns them into the file a node needs, `install` places
that file on a node. Nothing here may import kopf, kubernetes or pydantic: the installer runs on
every node and its memory is paid once per node.
"""
