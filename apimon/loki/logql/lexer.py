"""LogQL's text to tokens: which words are keywords where, what numbers, durations and sizes look like.

What is a token follows Loki 3.7.6's answers: keywords are such everywhere and in any case, a function's name only
before `(` (or a grouping), sizes are `1.5KB` and never `1.5kb`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from apimon.errors import QueryError
from apimon.loki.logql.literals import parse_range_ns, parse_signed_duration_ns, parse_size, unquote
from apimon.loki.logql.metric_nodes import Conversion, RangeOp, VectorOp

MAX_NESTING = 120
"""How deep parentheses may nest: what comes after the parser is recursive."""


@dataclass(frozen=True, slots=True)
class Lexeme:
    """One token: the grammar's name for it, what it stands for, and its offset in the query.

    The value is a string's text, the nanoseconds of a duration or range, the bytes of a size; else the word itself.
    """

    kind: str
    value: str
    offset: int


_KEYWORDS = {
    word: word.upper()
    for word in ("and", "or", "unless", "by", "without", "bool", "on", "ignoring", "group_left", "group_right")
}
_SILENT_KEYWORDS = {
    word: f"_{word.upper()}"
    for word in (
        "offset", "unwrap", "json", "logfmt", "regexp", "pattern", "unpack", "line_format", "label_format", "drop",
        "keep", "decolorize", "variants", "of",
    )
}  # fmt: skip
_KEYWORDS |= _SILENT_KEYWORDS
_FUNCTIONS = (
    {op.value: "RANGE_OP" for op in RangeOp}
    | {op.value: "VECTOR_OP" for op in VectorOp}
    | {conversion.value: "CONVERSION" for conversion in Conversion if conversion}
    | {"vector": "_VECTOR", "label_replace": "_LABEL_REPLACE", "ip": "_IP"}
)
_OPERATORS = {
    "|=": "PIPE_EXACT", "|~": "PIPE_MATCH", "|>": "PIPE_PATTERN", "!>": "NOT_PATTERN", "!=": "NOT_EQUAL",
    "!~": "NOT_REGEX", "=~": "REGEX", "==": "EQUAL", ">=": "GREATER_OR_EQUAL", "<=": "LESS_OR_EQUAL", "=": "ASSIGN",
    ">": "GREATER", "<": "LESS", "|": "_PIPE", "{": "_LBRACE", "}": "_RBRACE", "(": "_LPAR", ")": "_RPAR",
    ",": "_COMMA", "+": "ADD", "-": "SUB", "*": "MUL", "/": "DIV", "%": "MOD", "^": "POW",
}  # fmt: skip
_VALUES: dict[str, Callable[[str], object]] = {
    "STRING": unquote,
    "RANGE": parse_range_ns,
    "DURATION": parse_signed_duration_ns,
    "BYTES": parse_size,
    "NUMBER": lambda text: text.replace("_", ""),
}
_SIZES = "B|[kK](?:iB?|B)?|[MGT](?:iB?|B)?"
_TOKEN = re.compile(
    rf"""
      (?P<SPACE>[ \t\r\n]+|\#[^\n]*|//[^\n]*|/\*.*?\*/)
    | (?P<STRING>"(?:[^"\\\n]|\\[^\n])*"|`[^`]*`)
    | (?P<RANGE>\[[^\]]*\])
    | (?P<FLAG>--(?:strict|keep-empty)\b)
    | (?P<DURATION>-?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|[smhdwy]))+(?!\w))
    | (?P<BYTES>(?!0B)(?:\d+\.?\d*|\.\d+)(?:{_SIZES})(?!\w))
    | (?P<NUMBER>(?!0[xXbBoO])(?!0+[89])(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+|(?![eE])))
    | (?P<WORD>[^\W\d]\w*)
    | (?P<OPERATOR>{"|".join(map(re.escape, sorted(_OPERATORS, key=len, reverse=True)))})
    """,
    re.VERBOSE | re.DOTALL,
)
_CALLED = re.compile(r"\s*(?:\(|(?:by|without)\b)", re.IGNORECASE)


def read_lexemes(query: str) -> Iterator[Lexeme]:
    """Yield the query's tokens without space and comments. Raises QueryError where no token fits, or too deep."""
    offset = depth = 0
    while offset < len(query):
        match = _TOKEN.match(query, offset)
        if match is None or match.end() == offset:
            raise error_at(query, offset, _describe_unreadable(query[offset]))
        kind, text = match.lastgroup or "", match[0]
        if kind == "WORD":
            kind = _classify(text, query, match.end())
        elif kind == "OPERATOR":
            kind = _OPERATORS[text]
            depth += (text in "({") - (text in ")}")
            if depth > MAX_NESTING:
                raise error_at(query, offset, f"the query is nested more than {MAX_NESTING} deep")
        if kind != "SPACE":
            yield Lexeme(kind, _evaluate(kind, text, query, offset), offset)
        offset = match.end()


def error_at(query: str, offset: int, what: str) -> QueryError:
    """Return the error that Loki would print for this place of the query; line and column count from 1."""
    before = query[:offset]
    line, column = before.count("\n") + 1, offset - before.rfind("\n")
    message = f"parse error at line {line}, col {column}: {what}"
    return QueryError(message, line=line, column=column, query=query)


def _evaluate(kind: str, text: str, query: str, offset: int) -> str:
    evaluate = _VALUES.get(kind)
    if evaluate is None:
        return text
    try:
        return str(evaluate(text))
    except ValueError as exc:
        raise error_at(query, offset, str(exc)) from None


def _classify(word: str, query: str, end: int) -> str:
    name = word.lower()
    if name in _KEYWORDS:
        return _KEYWORDS[name]
    if name in _FUNCTIONS and _CALLED.match(query, end):
        return _FUNCTIONS[name]
    return "IDENTIFIER"


def _describe_unreadable(char: str) -> str:
    if char in '"`[':
        return "literal not terminated"
    return "number is malformed" if char.isdigit() else f"syntax error: unexpected {char!r}"
