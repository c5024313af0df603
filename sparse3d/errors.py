"""The one exception that users are meant to see.

Every tool turns an :class:`InputError` into one line on stderr and exit code 2; any other exception is
a defect of ours and leaves with a traceback and exit code 1.
"""


class InputError(ValueError):
    """Bad input: the message names the file or value, what is wrong with it, and what to do."""
