"""LogQL, the language: grammar, nodes, parser, printer. Knows nothing of storage or HTTP.

`parse_expr(query)` gives the nodes of `apimon.loki.logql.nodes`; `str(node)` prints them back as LogQL.
"""

from apimon.loki.logql.parser import parse_expr

__all__ = ["parse_expr"]
