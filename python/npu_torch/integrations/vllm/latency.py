"""Simulated latencies of requests: time to first token, time per output token."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any


class SimulatedLatency:
    """Follows requests through the steps of a worker, on the device's own clock.

    A request's time to first token counts from the step that first takes it up, so that waiting
    in vLLM's queue for other requests' steps is not part of it.
    """

    def __init__(self, now_ns: Callable[[], float]) -> None:
        """now_ns: the simulated time, all the device's work done."""
        self._now_ns = now_ns
        self._prompt_tokens: dict[str, int] = {}
        self._start_ns: dict[str, float] = {}
        self._last_ns: dict[str, float] = {}
        self._producing: list[str] = []  # requests for which the present step yields a token
        self.first_token_ns: list[float] = []
        self.per_token_ns: list[float] = []

    def begin(self, scheduler_output: Any) -> None:
        """Note a step that is about to run. scheduler_output: vLLM's."""
        for request in scheduler_output.finished_req_ids:
            for table in (self._prompt_tokens, self._start_ns, self._last_ns):
                table.pop(request, None)
        computed: dict[str, int] = {}
        new = scheduler_output.scheduled_new_reqs
        if new:
            now = self._now_ns()
            for request in new:
                self._prompt_tokens[request.req_id] = len(request.prompt_token_ids or ())
                self._start_ns[request.req_id] = now
                computed[request.req_id] = request.num_computed_tokens
        cached = scheduler_output.scheduled_cached_reqs
        computed.update(zip(cached.req_ids, cached.num_computed_tokens, strict=True))
        self._producing = [
            request
            for request, tokens in scheduler_output.num_scheduled_tokens.items()
            if computed[request] + tokens >= self._prompt_tokens[request]
        ]

    def end(self) -> None:
        """Note that the step's tokens have been sampled."""
        if not self._producing:
            return
        now = self._now_ns()
        for request in self._producing:
            last = self._last_ns.get(request)
            if last is None:
                self.first_token_ns.append(now - self._start_ns[request])
            else:
                self.per_token_ns.append(now - last)
            self._last_ns[request] = now
        self._producing = []

    def summary(self) -> str:
        """One line for the log; empty before the first token."""
        if not self.first_token_ns:
            return ""
        parts = []
        for name, values in (
            ("time to first token", self.first_token_ns),
            ("time per output token", self.per_token_ns),
        ):
            if values:
                mean, median = statistics.fmean(values), statistics.median(values)
                longest = max(values)
                parts.append(
                    f"{name} mean {mean / 1e6:.3f} ms, median {median / 1e6:.3f} ms, "
                    f"longest {longest / 1e6:.3f} ms"
                )
        tokens = len(self.first_token_ns) + len(self.per_token_ns)
        return f"Simulated, {len(self.first_token_ns)} requests, {tokens} steps: " + "; ".join(
            parts
        )
