"""The attack table: attacks as data, programs that try them, and what their results mean.

The operator never imports this package; the command line does.
"""
