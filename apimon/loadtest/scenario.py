"""What users do: a scenario is a set of weighted tasks, each a plain async function of one user."""

from bisect import bisect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING, TypeVar, overload

from apimon.errors import ScenarioError
from apimon.loadtest.pacing import ThinkTime

if TYPE_CHECKING:
    from apimon.loadtest.user import VirtualUser

TaskFunction = Callable[["VirtualUser"], Awaitable[None]]
F = TypeVar("F", bound=TaskFunction)

_WEIGHT_ATTRIBUTE = "__apimon_task_weight__"


@dataclass(frozen=True)
class Task:
    """One thing a user can do in an iteration."""

    name: str
    function: TaskFunction
    weight: float = 1


@overload
def task(function: F, /) -> F: ...
@overload
def task(*, weight: float = 1) -> Callable[[F], F]: ...


def task(function: F | None = None, /, *, weight: float = 1) -> F | Callable[[F], F]:
    """Mark an async function as a task: `@task`, or `@task(weight=3)` for one chosen three times as often.

    Raises ScenarioError where the weight is not a number above 0.
    """
    if not 0 < weight < float("inf"):
        raise ScenarioError(f"@task(weight={weight!r}): a weight is a number above 0")

    def mark(marked: F) -> F:
        setattr(marked, _WEIGHT_ATTRIBUTE, weight)
        return marked

    return mark if function is None else mark(function)


def task_of(function: TaskFunction) -> Task:
    """Return the task that a marked function is; its name is the function's."""
    return Task(function.__name__, function, getattr(function, _WEIGHT_ATTRIBUTE, 1))


@dataclass(frozen=True)
class Scenario:
    """Tasks with their weights and the think time between iterations."""

    name: str
    tasks: Sequence[Task]
    pause: ThinkTime = field(default_factory=ThinkTime)

    def __post_init__(self) -> None:
        if not self.tasks:
            raise ScenarioError(f"scenario {self.name!r} has no task: mark an async function with @task")

    @cached_property
    def _cumulative_weights(self) -> list[float]:
        return list(accumulate(task.weight for task in self.tasks))

    def choose_task(self, random: Random) -> Task:
        """Draw the task of the next iteration."""
        weights = self._cumulative_weights
        return self.tasks[bisect(weights, random.random() * weights[-1], 0, len(weights) - 1)]
