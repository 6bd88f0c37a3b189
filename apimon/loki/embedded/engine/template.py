"""The templates of `line_format` and `label_format`: text and plain fields; every other action is refused by name."""

import re
from collections.abc import Callable

from apimon.errors import QueryError, UnsupportedQueryError
from apimon.loki.embedded.engine.line import LogLine
from apimon.loki.logql.literals import unquote

Render = Callable[[LogLine], str]

_ACTION = re.compile(r"\{\{(- )?(.*?)( -)?\}\}", re.DOTALL)
_FIELD = re.compile(r"\.([a-zA-Z_][a-zA-Z0-9_]*)", re.ASCII)
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"|`[^`]*`')


class Template:
    """A compiled template: `render(line)` is its text, a missing label is empty; `fields` are the labels it reads."""

    def __init__(self, source: str) -> None:
        """Compile; raises QueryError where the template is malformed, UnsupportedQueryError where it asks for more."""
        self.fields: list[str] = []
        self._parts: list[str | Render] = []
        for part in _split(source):
            self._parts.append(part if isinstance(part, str) else self._compile(part[0]))

    def render(self, line: LogLine) -> str:
        """Return the template's text for this line."""
        return "".join(part if isinstance(part, str) else part(line) for part in self._parts)

    def _compile(self, action: str) -> str | Render:
        action = action.strip()
        if action.startswith("/*") and action.endswith("*/"):
            return ""
        if _STRING.fullmatch(action):
            return unquote(action)
        if action == "__line__":
            return lambda line: line.text
        field = _FIELD.fullmatch(action)
        if field is None:
            raise UnsupportedQueryError(
                f"the template action {{{{{action}}}}} is not supported yet: use plain fields such as {{{{.path}}}}"
            )
        name = field[1]
        self.fields.append(name)
        return lambda line: line.get(name) or ""


def _split(source: str) -> list[str | tuple[str]]:
    """Return text as strings and actions as one-tuples, space trimmed where `{{-` and `-}}` ask for it."""
    parts: list[str | tuple[str]] = []
    at, trim_next = 0, False
    for match in _ACTION.finditer(source):
        text = source[at : match.start()]
        text = text.lstrip() if trim_next else text
        parts += [text.rstrip() if match[1] else text, (match[2],)]
        at, trim_next = match.end(), bool(match[3])
    rest = source[at:]
    if "{{" in rest or any("{{" in part[0] for part in parts if isinstance(part, tuple)):
        raise QueryError(f"parse error : invalid template {source!r}: an action is not closed by }}}}")
    return [*parts, rest.lstrip() if trim_next else rest]
