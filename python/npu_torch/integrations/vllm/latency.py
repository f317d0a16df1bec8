"""Simulated latencies of requests: time to first token, time per output token."""

from __future__ import annotations

import collections
from typing import Any

import torch

# Marks are read when so many later ones exist that the device has long passed them.
_PENDING = 64


class _Spread:
    """Mean and maximum of durations in milliseconds."""

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.longest = 0.0

    def add(self, milliseconds: float) -> None:
        self.count += 1
        self.total += milliseconds
        self.longest = max(self.longest, milliseconds)

    def __str__(self) -> str:
        return f"mean {self.total / self.count:.3f} ms, longest {self.longest:.3f} ms"


class SimulatedLatency:
    """Follows requests through the steps of a worker, on the device's own clock.

    A request's time to first token counts from the step that first takes it up: waiting in vLLM's
    queue for other requests' steps is not part of it. Marks are events in the stream, so that
    nothing waits for the device.
    """

    def __init__(self) -> None:
        """Begin with no requests."""
        self._prompt_tokens: dict[str, int] = {}
        self._start: dict[str, torch.Event] = {}
        self._last: dict[str, torch.Event] = {}
        self._producing: list[str] = []  # requests for which the present step yields a token
        self._pending: collections.deque[tuple[_Spread, torch.Event, torch.Event, int]] = (
            collections.deque()
        )
        self.first_token = _Spread()
        self.per_token = _Spread()

    def begin(self, scheduler_output: Any) -> None:
        """Note a step that is about to run. scheduler_output: vLLM's."""
        for request in scheduler_output.finished_req_ids:
            for table in (self._prompt_tokens, self._start, self._last):
                table.pop(request, None)
        computed: dict[str, int] = {}
        if scheduler_output.scheduled_new_reqs:
            now = _mark()
            for request in scheduler_output.scheduled_new_reqs:
                self._prompt_tokens[request.req_id] = len(request.prompt_token_ids or ())
                self._start[request.req_id] = now
                computed[request.req_id] = request.num_computed_tokens
        cached = scheduler_output.scheduled_cached_reqs
        computed.update(zip(cached.req_ids, cached.num_computed_tokens, strict=True))
        self._producing = [
            request
            for request, tokens in scheduler_output.num_scheduled_tokens.items()
            if computed[request] + tokens >= self._prompt_tokens[request]
        ]

    def end(self) -> None:
        """Note that the step's tokens are being sampled."""
        if not self._producing:
            return
        now = _mark()
        steps: collections.Counter[tuple[int, torch.Event]] = collections.Counter()
        for request in self._producing:
            last = self._last.get(request)
            if last is None:
                steps[0, self._start[request]] += 1
            else:
                steps[1, last] += 1
            self._last[request] = now
        for (kind, since), requests in steps.items():
            spread = self.per_token if kind else self.first_token
            self._pending.append((spread, since, now, requests))
        self._producing = []
        while len(self._pending) > _PENDING:
            self._read()

    def _read(self) -> None:
        spread, since, until, requests = self._pending.popleft()
        until.synchronize()
        milliseconds = since.elapsed_time(until)
        for _ in range(requests):
            spread.add(milliseconds)

    def summary(self) -> str:
        """One line for the log; empty before the first token."""
        while self._pending:
            self._read()
        if not self.first_token.count:
            return ""
        text = f"Simulated, {self.first_token.count} requests: time to first token "
        text += str(self.first_token)
        if self.per_token.count:
            text += f"; {self.per_token.count} further tokens: time per token {self.per_token}"
        return text


def _mark() -> torch.Event:
    event = torch.npu.Event(enable_timing=True)
    event.record()
    return event
