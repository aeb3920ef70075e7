"""The attempts themselves. Their source is sent to the agent container; see `program`.

They need Python 3.11 and nothing else, report what they saw and judge nothing.
"""
