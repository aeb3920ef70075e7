"""Stand-ins for the outside world: a package index, a DNS server, TLS servers, and the proxy alone.

Everything runs in network namespaces made for the test; nothing here may talk to a real network,
except `egress.wheels`, which fills a cache through pip.
"""
