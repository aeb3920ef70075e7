"""Programs that run inside a sandbox and report what they could do, and the means to run them.

A probe itself is one file that needs nothing but Python 3.11.
"""
