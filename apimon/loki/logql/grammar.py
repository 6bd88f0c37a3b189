"""The LALR parser of grammar.lark over our tokens. Needs lark: imported with the first query, not with the package."""

from collections.abc import Iterator
from importlib.resources import files

from lark import Lark, Token
from lark.exceptions import UnexpectedToken
from lark.lexer import Lexer

from apimon.loki.logql.lexer import error_at, read_lexemes
from apimon.loki.logql.metric_builder import MetricBuilder
from apimon.loki.logql.nodes import Expr


def parse_text(query: str) -> Expr:
    """Return the query's nodes, unchecked. Raises QueryError with line and column."""
    try:
        expr: Expr = _parser.parse(query)  # type: ignore[assignment]  # the transformer gives nodes, not a tree
    except UnexpectedToken as exc:
        offset = len(query) if exc.token.type == "$END" else exc.token.start_pos or 0
        raise error_at(query, offset, _describe(exc)) from None
    return expr


class _TokenSource(Lexer):
    """Our lexer behind lark's interface."""

    def __init__(self, _conf: object) -> None:
        pass

    def lex(self, data: str) -> Iterator[Token]:  # type: ignore[override]  # lark hands a custom lexer the text itself
        for lexeme in read_lexemes(data):
            yield Token(lexeme.kind, lexeme.value, start_pos=lexeme.offset)


_parser = Lark(
    files("apimon.loki.logql").joinpath("grammar.lark").read_text("utf-8"),
    parser="lalr",
    lexer=_TokenSource,
    transformer=MetricBuilder(),  # called while the parser reduces: no tree, no recursion over one
    maybe_placeholders=True,
)

_SHOWN = {
    "$END": "$end", "_LBRACE": "{", "_RBRACE": "}", "_LPAR": "(", "_RPAR": ")", "_COMMA": ",", "_PIPE": "|",
    "ASSIGN": "=", "EQUAL": "==", "NOT_EQUAL": "!=", "REGEX": "=~", "NOT_REGEX": "!~", "PIPE_EXACT": "|=",
    "PIPE_MATCH": "|~", "PIPE_PATTERN": "|>", "NOT_PATTERN": "!>", "GREATER": ">", "GREATER_OR_EQUAL": ">=",
    "LESS": "<", "LESS_OR_EQUAL": "<=", "ADD": "+", "SUB": "-", "MUL": "*", "DIV": "/", "MOD": "%", "POW": "^",
}  # fmt: skip
_NAMED = {"IDENTIFIER", "STRING", "NUMBER", "DURATION", "BYTES", "RANGE"}
_MAX_EXPECTED = 4
"""More alternatives than these say nothing."""


def _describe(exc: UnexpectedToken) -> str:
    expected = sorted(
        {_show(kind) for kind in exc.accepts or exc.expected}, key=lambda shown: (not shown.isupper(), shown)
    )
    shown = f", expecting {' or '.join(expected)}" if len(expected) <= _MAX_EXPECTED else ""
    return f"syntax error: unexpected {_show(exc.token.type, str(exc.token))}{shown}"


def _show(kind: str, text: str = "") -> str:
    if kind in _SHOWN:
        return _SHOWN[kind]
    if kind in _NAMED:
        return kind
    return text.upper() if kind in {"RANGE_OP", "VECTOR_OP"} and text else kind.lstrip("_").lower()
