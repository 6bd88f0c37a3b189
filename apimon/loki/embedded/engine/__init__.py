"""The evaluation of LogQL over an `EntrySource`: pure, without HTTP, SQL or a clock."""

from apimon.loki.embedded.engine.evaluator import Evaluator, Limits

__all__ = ["Evaluator", "Limits"]
