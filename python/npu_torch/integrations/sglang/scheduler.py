"""SGLang's scheduler, which beside its work follows requests' simulated latencies."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import torch
from sglang.srt.managers.scheduler import Scheduler

from npu_torch.integrations.serving_time import (
    BUCKETS,
    METRICS,
    Latencies,
    LatencyTable,
    ServingTimes,
    mark,
)

logger = logging.getLogger(__name__)


class NpuScheduler(Scheduler):
    """The stock scheduler with times, and with the device's counters in its state."""

    def __init__(self, server_args: Any, *args: Any, **kwargs: Any) -> None:
        self._table = LatencyTable()
        self._histograms: dict[str, Any] = {}
        self._times = ServingTimes(self._observe)
        super().__init__(server_args, *args, **kwargs)
        if server_args.enable_metrics:
            # After SGLang's own metrics, which choose where prometheus_client keeps its values.
            from prometheus_client import Histogram

            for quantity, (name, description) in METRICS.items():
                self._histograms[quantity] = Histogram(name, description, buckets=BUCKETS)

    def _observe(self, request: Latencies) -> None:
        self._table.add(request)
        for quantity, histogram in self._histograms.items():
            seconds = getattr(request, quantity)
            if seconds is not None:
                histogram.observe(seconds)

    def _steps_stream(self) -> contextlib.AbstractContextManager[Any]:
        """The stream that steps run in: with overlap scheduling, it is not the present one."""
        if self.enable_overlap:
            return torch.npu.stream(self.forward_stream)
        return contextlib.nullcontext()

    def _add_request_to_queue(self, req: Any, is_retracted: bool = False) -> None:
        if not is_retracted:
            with self._steps_stream():
                self._times.arrived(req.rid)
        super()._add_request_to_queue(req, is_retracted)

    def run_batch(self, batch: Any, *args: Any, **kwargs: Any) -> Any:
        """Run a step."""
        result = super().run_batch(batch, *args, **kwargs)
        with self._steps_stream():
            result.npu_mark = mark()
        return result

    def launch_batch_sample_if_needed(self, batch_result: Any, *args: Any, **kwargs: Any) -> Any:
        """Sample what had to wait for the previous step's tokens."""
        late = getattr(batch_result, "delay_sample_func", None) is not None
        output = super().launch_batch_sample_if_needed(batch_result, *args, **kwargs)
        if late:
            with self._steps_stream():
                batch_result.npu_mark = mark()
        return output

    def process_batch_result(self, batch: Any, result: Any) -> None:
        """A step has yielded tokens."""
        before = [len(req.output_ids) for req in batch.reqs]
        reqs = list(batch.reqs)
        super().process_batch_result(batch, result)
        tokens = {
            req.rid: len(req.output_ids) - count for req, count in zip(reqs, before, strict=True)
        }
        at = getattr(result, "npu_mark", None)
        if at is not None:
            self._times.produced(tokens, at)
        for req in reqs:
            if req.finished():
                self._times.finished(req.rid)

    def _release_aborted_request(self, req: Any) -> None:
        self._times.finished(req.rid)
        super()._release_aborted_request(req)

    def run_event_loop(self) -> None:
        """Serve until told to stop, then tell the latencies."""
        # On the steps' stream, where requests arrive, what loading took has passed, too.
        self.forward_stream.wait_stream(torch.npu.current_stream())
        super().run_event_loop()
        if text := self._table.summary():
            logger.info(text)

    def get_internal_state(self, recv_req: Any) -> Any:
        """SGLang's state of the engine, the device's counters added."""
        output = super().get_internal_state(recv_req)
        output.internal_state["npu"] = {
            "fallbacks": torch.npu.fallback_stats(),
            "counters": torch.npu.counters(),
            "memory_allocated": torch.npu.memory_allocated(),
            "simulated_time_ns": torch.npu.simulated_time_ns(),
        }
        return output
