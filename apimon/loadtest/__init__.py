"""The load engine: scenarios, pacing, an HTTP/1.1 client, figures and reports.

What a scenario file imports stands here; everything else is imported from its own module.
"""

from apimon.loadtest.scenario import task

__all__ = ["task"]
