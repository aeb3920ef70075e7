"""The storage of the test cluster: each volume is a file system of exactly the size asked for.

A sparse file with ext4 in it, mounted through a loop device on the node. What does not fit fails
with ENOSPC, as on a disk; a directory of the node's own would just grow.
"""
