"""The limit of open files: each user holds a connection, and each connection is one."""

from apimon.errors import UsageError

_SPARE = 64
"""What the process holds beside its connections, and connections that are being replaced."""


def reserve_descriptors(users: int) -> None:
    """Raise the process's own limit as far as it is allowed to. Raises UsageError where that is not enough."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = users + _SPARE
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise UsageError(
            f"{users} users need {needed} open files and the limit is {hard}: raise it (ulimit -Hn), or use fewer users"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
