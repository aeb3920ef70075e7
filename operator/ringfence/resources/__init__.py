"""Builders of every object that a Sandbox becomes, one file per kind. Pure: no I/O, no clock."""
