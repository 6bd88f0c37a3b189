"""Record the goldens from a real Loki 3.7.6.

`APIMON_TEST_LOKI=$(tests/realloki/build.sh) python -m tests.conformance.record`, after a change of corpus or cases.
"""

import sys
import tempfile
import time
from itertools import groupby
from pathlib import Path

from tests.conformance.cases import load_cases, save_goldens
from tests.conformance.corpus import base_ns, digest, push_corpus
from tests.support.loki_http import LokiHttp
from tests.support.lokis import running_real_loki


def main() -> None:
    """Ask a fresh Loki every case and write what it answers."""
    with tempfile.TemporaryDirectory() as folder, running_real_loki(Path(folder)) as (url, _):
        loki, base = LokiHttp(url), base_ns(time.time_ns())
        push_corpus(loki, base)
        for topic, cases in groupby(load_cases(), key=lambda case: case.topic):
            answers = {case.name: case.ask(loki, base) for case in cases}
            save_goldens(topic, digest(), answers)
            refused = sum("error" in answer for answer in answers.values())
            sys.stderr.write(f"{topic}: {len(answers)} cases, {refused} of them refused\n")


if __name__ == "__main__":
    main()
