"""The API server as the command line and the SDK need it: light, blocking, on the standard library.

A client library takes longer to import than a command takes to run; this package is what makes
`ringfence exec` as quick as kubectl.
"""
