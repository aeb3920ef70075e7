"""Programs that attack from inside a Sandbox, with nothing but Python's standard library.

They are sent over standard input (see attack/program.py), so each may import only `kit`. They
bring their own system calls: a tool that an image lacks must not pass for a fence. Every attack is
bounded and harmless where nothing stops it: it opens but does not write, moves and moves back.
"""
