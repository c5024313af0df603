"""The one exception that users are meant to see, and what can be done about the system's.

Every tool turns an :class:`InputError` into one line on stderr and exit code 2; any other exception is
a defect of ours and leaves with a traceback and exit code 1.
"""

from __future__ import annotations

import errno

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # of a whole disk, not of one file
REMEDIES = {
    **dict.fromkeys((errno.EACCES, errno.EPERM), "allow it, or name another file or folder"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free space, or name a folder on another disk"),
    errno.EROFS: "name a folder on another disk",
    errno.ENAMETOOLONG: "name something shorter",
    errno.ELOOP: "mend the symbolic links, which lead in a circle",
}
"""What a user can do about an error of the system, by its number: these are never defects of ours."""


class InputError(ValueError):
    """Bad input: the message names the file or value, what is wrong with it, and what to do."""


def is_disk_full(error: BaseException | None) -> bool:
    """Whether nothing more can be written to a disk, as the error or one that it was raised from says."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            return True
        error = error.__cause__
    return False
