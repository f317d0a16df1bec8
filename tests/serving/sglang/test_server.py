"""SGLang's server with the shipped model: OpenAI completions, streams, metrics, a clean end."""

from __future__ import annotations

import concurrent.futures
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
from families import DEMO, PROMPTS
from sglang_engine import ids_of, tokenizer

CONTEXT = 1024  # the shipped model's


def choices(reply):
    """The pieces of a streamed reply."""
    for line in reply:
        data = line.decode().removeprefix("data: ").strip()
        if data and data != "[DONE]":
            yield from json.loads(data)["choices"]


class Server:
    """A server in processes of its own."""

    def __init__(self, log: Path, **environment: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = log
        sglang = str(Path(sys.executable).parent / "sglang")
        command = [sglang, "serve", "--model-path", DEMO]
        command += ["--served-model-name", "npu-demo", "--dtype", "float32", "--enable-metrics"]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        with log.open("w") as out:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **environment}
            )

    def wait(self, seconds: float = 150) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            try:
                self.get("/health")
                return
            except OSError:
                time.sleep(0.5)
        raise TimeoutError(self.log.read_text()[-4000:])

    def processes(self) -> list[psutil.Process]:
        main = psutil.Process(self.process.pid)
        return [main, *main.children(recursive=True)]

    def kill(self) -> None:
        if self.process.poll() is None:
            for process in self.processes():
                process.kill()
            self.process.wait()

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as reply:
            return reply.read().decode()

    def post(self, path: str, **body):
        """The reply to a greedy request, open."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            json.dumps({"model": "npu-demo", "temperature": 0, **body}).encode(),
            {"Content-Type": "application/json"},
        )
        return urllib.request.urlopen(request, timeout=120)

    def complete(self, prompt: str, tokens: int, **options):
        """The reply to a completion request, open."""
        return self.post("/v1/completions", prompt=prompt, max_tokens=tokens, **options)

    def stream(self, prompt: str, tokens: int) -> str:
        """The text of a streamed completion, put together."""
        with self.complete(prompt, tokens, stream=True, ignore_eos=True) as reply:
            pieces = [choice["text"] for choice in choices(reply)]
        assert len(pieces) > 1
        return "".join(pieces)


def test_out_of_memory_at_start(tmp_path):
    """A clear error and no process left; the module's next start works."""
    server = Server(tmp_path / "log.txt", NPU_HBM_LIMIT="8M")
    try:
        processes = server.processes()
        assert server.process.wait(150) != 0
        _, alive = psutil.wait_procs(processes, 20)
        assert not alive
        assert "out of memory on npu:0: requested" in server.log.read_text()
    finally:
        server.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server") / "log.txt")
    try:
        server.wait()
        yield server
    finally:
        server.kill()


def test_completion_equals_transformers(server, reference):
    ids = torch.tensor(ids_of(PROMPTS[:1]))
    with torch.no_grad():
        out = reference.generate(ids, max_new_tokens=24, min_new_tokens=24, do_sample=False)
    wanted = tokenizer().decode(out[0, ids.shape[1] :])
    with server.complete(PROMPTS[0], 24, ignore_eos=True) as reply:
        assert json.load(reply)["choices"][0]["text"] == wanted
    assert server.stream(PROMPTS[0], 24) == wanted


def test_streamed_chat(server):
    body = {"messages": [{"role": "user", "content": "def main():"}], "max_tokens": 16}
    with server.post("/v1/chat/completions", **body) as reply:
        whole = json.load(reply)["choices"][0]["message"]["content"]
    with server.post("/v1/chat/completions", stream=True, **body) as reply:
        pieces = [choice["delta"].get("content") or "" for choice in choices(reply)]
    assert len(whole) > 10
    assert len(pieces) > 4 and "".join(pieces) == whole


def test_concurrent_streams(server):
    alone = {prompt: server.stream(prompt, 16) for prompt in PROMPTS}
    prompts = PROMPTS * 4
    with concurrent.futures.ThreadPoolExecutor(len(prompts)) as pool:
        texts = list(pool.map(lambda p: server.stream(p, 16), prompts))
    assert texts == [alone[p] for p in prompts]


@pytest.mark.slow
def test_32_clients_for_a_minute(server):
    alone = {prompt: server.stream(prompt, 32) for prompt in PROMPTS}
    end = time.monotonic() + 60

    def client(number: int) -> int:
        replies = 0
        while time.monotonic() < end:
            prompt = PROMPTS[(number + replies) % len(PROMPTS)]
            assert server.stream(prompt, 32) == alone[prompt]
            replies += 1
        return replies

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        replies = list(pool.map(client, range(32)))
    print(f"{sum(replies)} replies")
    assert min(replies) > 0


def test_metrics(server):
    metrics = server.get("/metrics")
    assert "sglang:generation_tokens_total" in metrics
    for name in ("time_to_first_token", "time_per_output_token"):
        sums = re.findall(rf"^npu:simulated_{name}_seconds_sum (\S+)$", metrics, re.MULTILINE)
        assert len(sums) == 1 and 0 < float(sums[0]) < 60


def test_too_long_a_request_is_refused(server):
    with pytest.raises(urllib.error.HTTPError) as refusal:
        server.complete("x = 1\n" * CONTEXT, 4)
    assert refusal.value.code == 400
    assert "context length" in refusal.value.read().decode()


def test_a_client_that_leaves(server):
    reply = server.complete("import os", 900, stream=True, ignore_eos=True)
    reply.readline()
    reply.close()
    assert server.stream("import os", 4)
    running = re.compile(r"^sglang:num_running_reqs\{.*\} (\S+)$", re.MULTILINE)
    end = time.monotonic() + 30
    while any(float(count) for count in running.findall(server.get("/metrics"))):
        assert time.monotonic() < end
        time.sleep(0.5)


def test_termination_during_generation(server):
    """The last test of the module: requests are finished, latencies told, processes gone."""
    processes = server.processes()
    reply = server.complete("import os", 256, stream=True, ignore_eos=True)
    reply.readline()
    server.process.send_signal(signal.SIGTERM)
    assert b"[DONE]" in reply.read()
    assert server.process.wait(60) == 0
    _, alive = psutil.wait_procs(processes, 20)
    assert not alive
    log = server.log.read_text()
    assert re.search(r"Time to first token of \d+ requests: simulated mean", log)
    assert "Traceback" not in log
