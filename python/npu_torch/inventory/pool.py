"""Runs tasks in worker processes; one that crashes or hangs costs its task only."""

from __future__ import annotations

import json
import os
import queue
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

_START_SECONDS = 240.0


class WorkerDied(RuntimeError):
    """The worker ended, or exceeded the time limit, before it answered."""


class Worker:
    """One process, started when needed. Not for use by several threads at a time."""

    def __init__(
        self,
        environment: dict[str, str] | None = None,
        load: Sequence[str] = (),
        timeout: float = 300.0,
    ) -> None:
        """Environment variables beside this process's, files for --load, seconds for a task."""
        self._environment = {**os.environ, "NPU_FALLBACK": "silent", **(environment or {})}
        self._command = [sys.executable, "-u", "-m", "npu_torch.inventory.worker"]
        for file in load:
            self._command += ["--load", file]
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""

    def run(self, task: str, **arguments: Any) -> Any:
        """The task's result. Raises WorkerDied, or RuntimeError with the worker's traceback."""
        process = self._started()
        assert process.stdin is not None
        request = json.dumps({"task": task, "arguments": arguments}) + "\n"
        try:
            process.stdin.write(request.encode())
            process.stdin.flush()
        except BrokenPipeError:
            self._died("ended")
        answer = self._answer(self._timeout)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._pending = b""
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
            )
            self._answer(_START_SECONDS)
        return self._process

    def _answer(self, timeout: float) -> Any:
        assert self._process is not None and self._process.stdout is not None
        stream: IO[bytes] = self._process.stdout
        end = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                if not selector.select(max(0.0, end - time.monotonic())):
                    self._died(f"did not answer within {timeout:.0f} s")
                chunk = os.read(stream.fileno(), 1 << 16)
                if not chunk:
                    self._died("ended")
                self._pending += chunk
        line, self._pending = self._pending.split(b"\n", 1)
        return json.loads(line)

    def _died(self, what: str) -> None:
        assert self._process is not None
        code = self._process.poll()
        if code is None and what == "ended":
            code = self._process.wait()
        how = f" by {signal.Signals(-code).name}" if code is not None and code < 0 else ""
        self.close()
        raise WorkerDied(f"the worker {what}{how}")


def map_tasks(
    task: str,
    arguments: Iterable[dict[str, Any]],
    processes: int = 2,
    timeout: float = 300.0,
    environment: dict[str, str] | None = None,
) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield each task's arguments with its result or exception, as they come."""
    pending: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    count = 0
    for entry in arguments:
        pending.put(entry)
        count += 1
    done: queue.SimpleQueue[tuple[dict[str, Any], Any]] = queue.SimpleQueue()

    def serve() -> None:
        worker = Worker(environment, timeout=timeout)
        try:
            while True:
                entry = pending.get_nowait()
                try:
                    done.put((entry, worker.run(task, **entry)))
                except Exception as error:
                    done.put((entry, error))
        except queue.Empty:
            worker.close()

    threads = [threading.Thread(target=serve, daemon=True) for _ in range(min(processes, count))]
    for thread in threads:
        thread.start()
    for _ in range(count):
        yield done.get()
