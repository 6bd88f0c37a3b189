"""LogQL's text to checked nodes: the one door of the language."""

from apimon.errors import QueryError
from apimon.loki.logql.nodes import Expr
from apimon.loki.logql.validation import check_expr

MAX_QUERY_CHARS = 131_072
"""Loki's limit on a query's text."""


def parse_expr(query: str) -> Expr:
    """Return the query's nodes, checked as far as Loki checks before it runs a query.

    Raises QueryError: with line, column and the query where the text doesn't parse, without a position where it
    parses and can't be meant (`sum_over_time` without `unwrap`, a regular expression that is none).
    """
    from apimon.loki.logql.grammar import parse_text  # lark costs 50 ms: paid with the first query

    if len(query) > MAX_QUERY_CHARS:
        raise QueryError(f"query size too long ({len(query)} > {MAX_QUERY_CHARS}): shorten the query")
    expr = parse_text(query)
    check_expr(expr)
    return expr
