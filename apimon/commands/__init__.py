"""The commands, one module each: parse, configure, call once, return an exit code."""
