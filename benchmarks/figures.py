"""A figure that the project promises, and what was measured of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Figure:
    """One measured ratio beside its bound.

    `ratio` says how much of `unit` was reached or taken; `at_least` tells which. `slack` is what a
    repeated run may differ by, as a factor: beyond it a figure counts as worse than the reference.
    """

    topic: str
    name: str
    ratio: float
    bound: float
    unit: str
    at_least: bool
    slack: float
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What the reference file calls it."""
        return f"{self.topic}: {self.name}"

    def holds(self) -> bool:
        """Whether the promise is kept."""
        return self.ratio >= self.bound if self.at_least else self.ratio <= self.bound

    def has_regressed(self, reference: float | None) -> bool:
        """Whether it is worse than a reference run's ratio by more than its slack."""
        if reference is None:
            return False
        if self.at_least:
            return self.ratio < reference / self.slack
        return self.ratio > reference * self.slack

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {**asdict(self), "holds": self.holds()}
