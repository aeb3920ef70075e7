"""The node agent: installs profiles, enforces limits, reads back from the kernel what is in force.

One process on every node, for the Sandboxes of that node alone. What it believes comes from the
node's kernel (/proc, the cgroup tree) and from the immutable spec of a Pod; never from inside one.
Nothing here may import kopf, kubernetes or pydantic: its memory is paid once per node.
"""
