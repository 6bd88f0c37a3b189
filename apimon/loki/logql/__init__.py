"""LogQL, the language: grammar, nodes, parser, printer. Knows nothing of storage or HTTP."""
