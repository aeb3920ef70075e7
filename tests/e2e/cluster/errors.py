"""The one exception of the test cluster: its message is meant for the reader of a terminal."""


class ClusterError(Exception):
    """Something is wrong with the cluster; the message says what and the way out."""
