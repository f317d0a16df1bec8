"""`vllm serve` with the shipped model: completions, streams, metrics, many clients, failures."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
import torch
import transformers
from families import DEMO, PROMPTS

from npu_torch.demo import run as demo

CLIENTS, CLIENTS_SECONDS = 32, 60


class Server:
    """A `vllm serve` in a process of its own."""

    def __init__(self, log: Path, port: int = 0, hbm_limit: str = "1G") -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            self.port = probe.getsockname()[1]
        self.log = log
        environment = {
            **os.environ,
            "VLLM_ENABLE_V1_MULTIPROCESSING": "1",
            "VLLM_LOGGING_LEVEL": "INFO",
            "NPU_HBM_LIMIT": hbm_limit,
        }
        command = [Path(sys.executable).parent / "vllm", "serve", DEMO, "--dtype", "float32"]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--max-num-seqs", "64"]
        command += ["--served-model-name", "npu-demo"]
        with log.open("w") as out:
            self.process = subprocess.Popen(
                list(map(str, command)), stdout=out, stderr=subprocess.STDOUT, env=environment
            )

    def wait(self, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            try:
                self.get("/health")
                return
            except OSError:
                time.sleep(0.5)
        raise TimeoutError(self.log.read_text()[-4000:])

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as reply:
            return reply.read().decode()

    def post(self, path: str, body: dict):
        """The reply to a request, open."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            json.dumps({"model": "npu-demo", "temperature": 0, **body}).encode(),
            {"Content-Type": "application/json"},
        )
        return urllib.request.urlopen(request, timeout=120)

    def complete(self, prompt: str, tokens: int, **options):
        """The reply to a completion request, open."""
        return self.post("/v1/completions", {"prompt": prompt, "max_tokens": tokens, **options})

    def stream(self, prompt: str, tokens: int) -> str:
        """The text of a streamed completion, put together."""
        with self.complete(prompt, tokens, stream=True, ignore_eos=True) as reply:
            return "".join(event["choices"][0]["text"] for event in events(reply))

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        lines = self.get("/metrics").splitlines()
        return sum(float(line.split()[-1]) for line in lines if re.match(name + "[ {]", line))

    def wait_until_idle(self, seconds: float = 20) -> None:
        """Until no request runs or waits, and no page is taken."""
        names = ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")
        end = time.monotonic() + seconds
        while any(self.metric(f"vllm:{name}") for name in names):
            assert time.monotonic() < end, self.get("/metrics")
            time.sleep(0.2)

    def stop(self) -> None:
        """Send SIGTERM and wait until every process is gone."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(60) == 0
        finally:
            _, alive = psutil.wait_procs(children, 20)
            for process in alive:
                process.kill()
        assert not alive


def events(reply):
    """What the server sends, as it comes."""
    for line in reply:
        data = line.decode().removeprefix("data: ").strip()
        if data and data != "[DONE]":
            yield json.loads(data)


@contextlib.contextmanager
def serving(folder: Path, **options):
    server = Server(folder / "log.txt", **options)
    try:
        server.wait()
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("server")) as it:
        yield it


@pytest.mark.serving_smoke
def test_the_demos_text(server, reference):
    """Completions and streams give what transformers gives on the CPU."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(DEMO)
    for prompt in demo.PROMPTS:
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        count = demo.NEW_TOKENS
        with torch.no_grad():
            out = reference.generate(
                ids, max_new_tokens=count, min_new_tokens=count, do_sample=False
            )
        wanted = tokenizer.decode(out[0, ids.shape[1] :])
        with server.complete(prompt, count, ignore_eos=True) as reply:
            assert json.load(reply)["choices"][0]["text"] == wanted
        assert server.stream(prompt, count) == wanted


@pytest.mark.serving_smoke
def test_streamed_chat(server):
    messages = [{"role": "user", "content": PROMPTS[0]}]
    body = {"messages": messages, "max_tokens": 24, "stream": True, "ignore_eos": True}
    with server.post("/v1/chat/completions", body) as reply:
        pieces = [event["choices"][0]["delta"].get("content") or "" for event in events(reply)]
    assert len(pieces) > 1
    assert "".join(pieces) == server.stream(PROMPTS[0], 24)


@pytest.mark.serving_smoke
def test_metrics(server):
    """vLLM's own, and simulated latencies beside them."""
    before = server.metric("npu:simulated_time_to_first_token_seconds_count")
    server.stream(PROMPTS[0], 8)
    server.wait_until_idle()
    assert server.metric("vllm:generation_tokens_total") >= 8
    for name in ("npu:simulated_time_to_first_token", "npu:simulated_time_per_output_token"):
        assert server.metric(f"{name}_seconds_count") >= before + 1
        mean = server.metric(f"{name}_seconds_sum") / server.metric(f"{name}_seconds_count")
        assert 1e-5 < mean < 1e-2


def test_32_clients_for_a_minute(server):
    """Every request is answered as it is without the others, and metrics are, too."""
    prompts = [(prompt, 8 + 4 * i) for i, prompt in enumerate(PROMPTS)]
    alone = {request: server.stream(*request) for request in prompts}
    server.wait_until_idle()
    succeeded = "vllm:request_success_total"
    before = server.metric(succeeded)
    end = time.monotonic() + CLIENTS_SECONDS

    def client(number: int) -> int:
        count = 0
        while time.monotonic() < end:
            request = prompts[(number + count) % len(prompts)]
            assert server.stream(*request) == alone[request]
            count += 1
        return count

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(client, i) for i in range(CLIENTS)]
        polls = 0
        while time.monotonic() < end:
            assert server.metric("vllm:num_requests_running") <= CLIENTS
            polls += 1
            time.sleep(1)
        answered = sum(c.result() for c in clients)
    server.wait_until_idle()
    print(
        f"{CLIENTS} clients, {answered} requests in {CLIENTS_SECONDS} s, {polls} looks at metrics"
    )
    assert answered >= 2 * CLIENTS and polls >= CLIENTS_SECONDS / 4
    assert server.metric(succeeded) - before == answered


def test_too_long_a_request_is_refused(server):
    with pytest.raises(urllib.error.HTTPError) as refusal:
        server.complete("x = 1\n" * 2000, 4)
    assert refusal.value.code == 400
    assert "maximum context length" in refusal.value.read().decode()


def test_a_client_that_leaves(server):
    """Its request ends, and its pages are free again."""
    reply = server.complete("import os", 900, stream=True, ignore_eos=True)
    reply.readline()
    reply.close()
    server.wait_until_idle(5)
    assert server.stream("import os", 4)


def test_termination_during_generation(server, tmp_path):
    """A clean end that tells the latencies, and the next start on the same port works."""
    with server.complete("import os", 900, stream=True, ignore_eos=True) as reply:
        running = events(reply)
        next(running)
        server.stop()
        reasons = [event["choices"][0]["finish_reason"] for event in running]
    assert reasons[-1] == "length"  # what had begun was finished
    log = server.log.read_text()
    assert "requests: simulated mean" in log
    assert not re.search(r"\(EngineCore.*(ERROR|Traceback)", log)
    with serving(tmp_path, port=server.port) as again:
        assert again.stream("import os", 4)
        again.stop()


def test_out_of_memory_at_start(tmp_path):
    """The weights do not fit: the error names the memory."""
    with (
        pytest.raises(AssertionError, match="out of memory|free memory"),
        serving(tmp_path, hbm_limit="4M"),
    ):
        pass
