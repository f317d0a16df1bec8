"""A crash, a hang or an exception of an operator costs its own task only."""

import pytest

from npu_torch.inventory import database, pool

CRASHING = """
import os, time

class Operator:
    variant_test_name = ""
    supports_out = False
    decorators = ()

    def __init__(self, name, action):
        import torch
        self.name, self.action, self.dtypes = name, action, {torch.float32}

    def sample_inputs(self, *args, **kwargs):
        self.action()
        return iter(())

OPERATORS = {
    "crash": Operator("crash", os.abort),
    "hang": Operator("hang", lambda: time.sleep(600)),
    "raise": Operator("raise", lambda: 1 / 0),
}
"""


@pytest.fixture
def worker(tmp_path):
    (tmp_path / "crashing.py").write_text(CRASHING)
    worker = pool.Worker(load=[str(tmp_path / "crashing.py")], timeout=6)
    yield worker
    worker.close()


def test_survives_crash_hang_and_exception(worker: pool.Worker) -> None:
    def survey(name: str) -> dict:
        return worker.run("survey", name=name, dtype_name="float32")

    with pytest.raises(pool.WorkerDied, match="SIGABRT"):
        survey("crash")
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        survey("raise")
    assert survey("neg")["status"] == "native"
    with pytest.raises(pool.WorkerDied, match="did not answer within 6 s"):
        survey("hang")
    assert survey("neg")["status"] == "native"


def test_map_reports_every_task() -> None:
    tasks = [{"name": name, "dtype_name": "float32"} for name in ("neg", "no such", "add")]
    results = {task["name"]: result for task, result in pool.map_tasks("survey", tasks)}
    assert results["neg"]["status"] == results["add"]["status"] == "native"
    assert isinstance(results["no such"], RuntimeError)


def test_samples_are_the_same_every_time() -> None:
    op = database.operators()["add"]
    dtype = database.DTYPES["float32"]
    first, second = ([s.input for _, s in database.samples(op, dtype, 4)] for _ in range(2))
    assert len(first) == 4
    assert all(a.equal(b) for a, b in zip(first, second, strict=True))
