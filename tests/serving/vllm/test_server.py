"""`vllm serve` with the shipped model: OpenAI completions, streams, metrics, a clean end."""

from __future__ import annotations

import concurrent.futures
import json
import os
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


class Server:
    """A `vllm serve` in a process of its own."""

    def __init__(self, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = log
        environment = {
            **os.environ,
            "VLLM_ENABLE_V1_MULTIPROCESSING": "1",
            "VLLM_LOGGING_LEVEL": "INFO",
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
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            try:
                self.get("/health")
                return
            except OSError:
                time.sleep(0.5)
        raise TimeoutError(self.log.read_text()[-4000:])

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as reply:
            return reply.read().decode()

    def complete(self, prompt: str, tokens: int, **options):
        """The reply to a completion request, open."""
        body = {"model": "npu-demo", "prompt": prompt, "max_tokens": tokens, **options}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/completions",
            json.dumps({"temperature": 0, **body}).encode(),
            {"Content-Type": "application/json"},
        )
        return urllib.request.urlopen(request, timeout=120)

    def stream(self, prompt: str, tokens: int) -> str:
        """The text of a streamed completion, put together."""
        pieces = []
        with self.complete(prompt, tokens, stream=True, ignore_eos=True) as reply:
            for line in reply:
                data = line.decode().removeprefix("data: ").strip()
                if data and data != "[DONE]":
                    pieces.append(json.loads(data)["choices"][0]["text"])
        assert len(pieces) > 1
        return "".join(pieces)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server") / "log.txt")
    try:
        server.wait()
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def test_completion_equals_transformers(server, reference):
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(DEMO)
    ids = tokenizer(PROMPTS[0], return_tensors="pt").input_ids
    with torch.no_grad():
        out = reference.generate(ids, max_new_tokens=24, min_new_tokens=24, do_sample=False)
    wanted = tokenizer.decode(out[0, ids.shape[1] :])
    with server.complete(PROMPTS[0], 24, ignore_eos=True) as reply:
        assert json.load(reply)["choices"][0]["text"] == wanted
    assert server.stream(PROMPTS[0], 24) == wanted


def test_concurrent_streams(server):
    alone = {prompt: server.stream(prompt, 16) for prompt in PROMPTS}
    prompts = PROMPTS * 4
    with concurrent.futures.ThreadPoolExecutor(len(prompts)) as pool:
        texts = list(pool.map(lambda p: server.stream(p, 16), prompts))
    assert texts == [alone[p] for p in prompts]


def test_metrics(server):
    metrics = server.get("/metrics")
    assert "vllm:generation_tokens_total" in metrics


def test_too_long_a_request_is_refused(server):
    with pytest.raises(urllib.error.HTTPError) as refusal:
        server.complete("x = 1\n" * 2000, 4)
    assert refusal.value.code == 400
    assert "maximum context length" in refusal.value.read().decode()


def test_a_client_that_leaves(server):
    reply = server.complete("import os", 512, stream=True, ignore_eos=True)
    reply.readline()
    reply.close()
    assert server.stream("import os", 4)


def test_termination_during_generation(server):
    """The last test of the module: a clean end, with the summary of simulated latencies."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    reply = server.complete("import os", 512, stream=True, ignore_eos=True)
    reply.readline()
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(60)
    _, alive = psutil.wait_procs(children, 20)
    assert not alive
    log = server.log.read_text()
    assert "requests: simulated mean" in log
    assert "Traceback" not in log
