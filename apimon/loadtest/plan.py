"""What a run is asked to do."""

import secrets
from dataclasses import dataclass, field

from apimon.loadtest.scenario import Scenario
from apimon.loadtest.target import Target


def new_run_id() -> str:
    """Return an id that is short, stands in URLs and queries as it is, and that no other run has."""
    return secrets.token_hex(5)


def new_seed() -> int:
    """Return a seed for a run that was given none; it is reported, so that the run can be repeated."""
    return secrets.randbelow(1 << 32)


@dataclass(frozen=True)
class LoadPlan:
    """A closed-model run: so many users for so long."""

    target: Target
    scenario: Scenario
    users: int = 5
    duration_s: float = 10.0
    timeout_s: float = 10.0
    """Longest time from a request's intended start to its last byte, connecting included."""
    grace_s: float = 5.0
    """How long requests in flight at the end of `duration_s` may go on."""
    seed: int = field(default_factory=new_seed)
    run_id: str = field(default_factory=new_run_id)
