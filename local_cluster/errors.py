"""The error that people see.

Everything that can go wrong for a reason outside this package (no disk, no network, a component that does not start)
is raised as one type, so that the command line can print one line that names the fix instead of a traceback.
"""


class LocalClusterError(Exception):
    """Something the caller can act on; the message says what happened and what to do."""
