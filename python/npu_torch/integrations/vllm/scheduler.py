"""vLLM's schedulers, which beside their work follow requests' simulated latencies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vllm.logger import init_logger
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler

from npu_torch.integrations.serving_time import LatencyTable, ServingTimes

logger = init_logger("vllm.npu_torch")  # below the logger that vLLM configures

# Attribute of vLLM's SchedulerOutput: the mark at which the worker had its tokens.
STEP_MARK = "npu_step_mark"


class _TimesRequests:
    """What the schedulers below do at a request's arrival, at its tokens and at its end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = LatencyTable()
        self._times = ServingTimes(self._table.add)

    def add_request(self, request: Any) -> None:
        """A request joins the queue."""
        self._times.arrived(request.request_id)
        super().add_request(request)  # type: ignore[misc]

    def update_from_output(self, scheduler_output: Any, model_runner_output: Any) -> dict[int, Any]:
        """A step has yielded tokens."""
        outputs = super().update_from_output(  # type: ignore[misc]
            scheduler_output, model_runner_output
        )
        every = [output for client in outputs.values() for output in client.outputs]
        at = getattr(scheduler_output, STEP_MARK, None)  # a step without tokens has none
        if at is not None:
            self._times.produced({o.request_id: len(o.new_token_ids) for o in every}, at)
        for output in every:
            if output.finish_reason is not None:
                self._times.finished(output.request_id)
        return outputs  # type: ignore[no-any-return]

    def finish_requests(
        self, request_ids: str | Iterable[str] | None, finished_status: Any
    ) -> list[Any]:
        """Requests are given up."""
        requests = super().finish_requests(request_ids, finished_status)  # type: ignore[misc]
        for request in requests:
            self._times.finished(request.request_id)
        return requests  # type: ignore[no-any-return]

    def shutdown(self) -> None:
        """Tell the latencies."""
        if text := self._table.summary():
            logger.info(text)
        super().shutdown()  # type: ignore[misc]


class NpuScheduler(_TimesRequests, Scheduler):
    """The stock scheduler with times."""


class NpuAsyncScheduler(_TimesRequests, AsyncScheduler):
    """The stock asynchronous scheduler with times."""
