"""One log line on its way through a pipeline: its text and its labels, parsed no further than somebody asks.

A label comes from one of four places, looked up in this order: what stages set or extracted, the stream, structured
metadata, and a JSON document that nobody has flattened yet.
"""

from collections.abc import Iterable
from contextlib import suppress

from apimon.loki.embedded.engine.json_fields import Document, InexactError, load_document
from apimon.loki.embedded.engine.json_scanner import JsonFaultError, scan_object
from apimon.loki.embedded.engine.naming import join_name
from apimon.loki.embedded.source import Row
from apimon.loki.model import Labels

ERROR = "__error__"
ERROR_DETAILS = "__error_details__"
_EXTRACTED = "_extracted"


class LogLine:
    """The line that a pipeline works on; one object is loaded with row after row."""

    __slots__ = ("_document", "_pending", "changes", "labels", "metadata", "text", "timestamp_ns", "wanted")

    def __init__(self, wanted: frozenset[str] | None = None) -> None:
        self.wanted = wanted
        """The labels that the query asks for, where they are known: a parser stops when it has found them all."""
        self.labels: Labels = {}
        self.metadata: Labels = {}
        self.timestamp_ns = 0
        self.text = ""
        self.changes: dict[str, str | None] = {}
        """What stages set; None where they deleted the label."""
        self._pending = False
        self._document: Document | None = None

    def load(self, row: Row) -> None:
        """Begin anew with a row."""
        self.labels, self.timestamp_ns, self.text, self.metadata = row
        self._pending = False
        if self.changes:
            self.changes = {}

    def get(self, name: str) -> str | None:
        """Return the label's value; None where the line has no such label."""
        changes = self.changes
        if name in changes:
            return changes[name]
        value = self.labels.get(name)
        if value is None:
            value = self.metadata.get(name)
        if value is None and self._pending:
            return self._find(name)
        return value

    def get_number(self, name: str) -> float | str | None:
        """Return what `get` does, but a JSON number that nobody needs as text as a number."""
        if self._pending and name not in self.changes and name not in self.labels and name not in self.metadata:
            document = None if name.endswith(_EXTRACTED) else self._load_document()
            if document is not None:
                with suppress(InexactError):
                    return document.find_number(name)
        return self.get(name)

    def set(self, name: str, value: str) -> None:
        """Give the label a value, whatever it had."""
        self.settle()
        self.changes[name] = value

    def delete(self, name: str) -> None:
        """Take the label away."""
        self.settle()
        self.changes[name] = None

    def extract(self, name: str, value: str) -> None:
        """Add what a parser found: the first one of a name counts, and a label of the stream keeps its name."""
        if not name:
            return
        if name in self.labels or name in self.metadata:
            name += _EXTRACTED
        if self.changes.get(name) is None:
            self.changes[name] = value

    def extract_named(self, name: str, value: str | None) -> None:
        """Add what the query names; an empty value for what isn't there, but only where there is no such label yet."""
        if value is not None or self.get(name) is None:
            self.extract(name, value or "")

    def replace(self, name: str, value: str) -> None:
        """Add what the query names, even over what an earlier parser found; an empty value never over a stream's."""
        is_given = name in self.labels or name in self.metadata
        if is_given and value:
            self.extract(name, value)
        elif not is_given:
            self.changes[name] = value

    def fail(self, kind: str, details: str = "") -> None:
        """Mark the line with an error; the first one stays."""
        if self.failed:
            return
        self.changes[ERROR] = kind
        if details:
            self.changes[ERROR_DETAILS] = details

    @property
    def needs_labels(self) -> bool:
        """Whether the query asks for any label at all; where it doesn't, Loki doesn't parse the line."""
        return self.wanted is None or bool(self.wanted)

    @property
    def failed(self) -> bool:
        """Whether the line carries an error."""
        if self._pending:
            self._load_document()
        return bool(self.changes) and bool(self.changes.get(ERROR))

    def parse_json(self) -> None:
        """Make the line's JSON fields labels, each when it is asked for."""
        self.settle()
        self._pending = True
        self._document = None

    def settle(self) -> None:
        """Flatten what is still unparsed."""
        document = self._load_document() if self._pending else None
        if document is None:
            return
        try:
            fields = document.flatten()
        except InexactError:
            self._scan()
            return
        self._pending = False
        for name, value in fields:
            self.extract(name, value)

    def names(self) -> Iterable[str]:
        """Return the names of all labels, deleted ones too."""
        self.settle()
        return {**self.labels, **self.metadata, **self.changes}

    def merged(self) -> dict[str, str]:
        """Return all labels of the line: the stream's, the metadata's and what stages made of them."""
        self.settle()
        merged = {**self.metadata, **self.labels}
        for name, value in self.changes.items():
            if value is not None:
                merged[name] = value
            else:
                merged.pop(name, None)
        return merged

    def _find(self, name: str) -> str | None:
        document = self._load_document()
        if document is None:
            return self.changes.get(name)
        try:
            if name.endswith(_EXTRACTED):
                self.settle()
                return self.changes.get(name)
            return document.find(name)
        except InexactError:
            self._scan()
            return self.changes.get(name)

    def _load_document(self) -> Document | None:
        """Return the pending document; None where the line had to be scanned, and is settled then."""
        if self._document is None:
            document = load_document(self.text)
            if document is None:
                self._scan()
                return None
            self._document = document
        return self._document

    def _scan(self) -> None:
        """Settle the line by the scanner, which ends where all that is wanted has been found."""
        self._pending = False
        missing = None if self.wanted is None else set(self.wanted)
        if missing is not None and not missing:
            return
        try:
            for path, value in scan_object(self.text):
                name = ""
                for key in path:
                    name = join_name(name, key)
                self.extract(name, value)
                if missing is not None:
                    missing.discard(name)
                    if not missing:
                        return
        except JsonFaultError as fault:
            self.fail("JSONParserErr", str(fault))
