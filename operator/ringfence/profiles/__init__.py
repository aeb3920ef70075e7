"""The security profiles of the agent container: the tables and what is generated from them.

`syscalls` and `access` hold the decisions, `seccomp` and `apparmor` turn them into what a node
needs, `provider` says who puts it there. Nothing here may import kopf, kubernetes or pydantic: the
node agent runs on every node and its memory is paid once per node.
"""
