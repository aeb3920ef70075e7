"""The project's container images: recipes, Containerfiles, and a build without a container engine.

Nothing here is part of the installed package; the operator must not import it.
"""
