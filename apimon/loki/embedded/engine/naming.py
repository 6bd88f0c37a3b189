"""How a field's name becomes a label's."""

import re
from functools import lru_cache

_NOT_A_NAME = re.compile(r"[^a-zA-Z0-9_]")


@lru_cache(maxsize=4096)
def sanitize_name(name: str) -> str:
    """Return the name with `_` for what a label name can't hold, and before a digit at its beginning."""
    clean = _NOT_A_NAME.sub("_", name.strip())
    return f"_{clean}" if clean[:1].isdecimal() else clean


def join_name(prefix: str, key: str) -> str:
    """Return the label of `key` in the object whose label is `prefix`."""
    if not prefix:
        return sanitize_name(key)
    clean = sanitize_name(f"x{key.strip()}")[1:]  # a digit may begin what comes behind the prefix
    return f"{prefix}_{clean}" if clean else prefix
