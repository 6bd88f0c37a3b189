"""The encoding flag of Loki's answers: the request header that sets it, and what the answer repeats.

With it metadata and parsed labels stay with their entries; without it they are merged into the stream's labels.
"""

from collections.abc import Mapping

FLAGS_HEADER = "X-Loki-Response-Encoding-Flags"
CATEGORIZE_LABELS = "categorize-labels"

CATEGORIZE_HEADERS: Mapping[str, str] = {FLAGS_HEADER: CATEGORIZE_LABELS}
"""What a client sends to be told labels apart."""
