"""The table of attempts to get past a Sandbox's network fence, and everything that it needs.

Every row runs in the agent container of a real Pod; a stand-in internet counts what arrives. Rows
say which layers refuse them, so taking one layer away must make exactly its own rows fail.
"""
