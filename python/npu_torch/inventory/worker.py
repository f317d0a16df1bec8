"""A process that answers tasks, one JSON object a line, until its input ends.

It runs operators that may end the process; `pool` starts another then.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main() -> None:
    """Answer {"task": NAME, "arguments": {...}} with {"result": ...} or {"error": TEXT}."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--load",
        action="append",
        default=[],
        metavar="FILE",
        help="Python file whose OPERATORS join the database's",
    )
    options = parser.parse_args()
    # Whatever else prints must not disturb the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    tasks = _load(options.load)
    print(json.dumps({"result": "ready"}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": tasks[request["task"]](**request["arguments"])}
        except Exception:
            answer = {"error": traceback.format_exc(limit=-6)}
        print(json.dumps(answer), file=answers, flush=True)


def _load(files: list[str]) -> dict[str, Callable[..., Any]]:
    import torch

    from npu_torch.inventory import database, parity, survey

    torch.set_num_threads(1)
    operators = database.operators()
    for file in files:
        spec = importlib.util.spec_from_file_location(Path(file).stem, file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        operators.update(module.OPERATORS)
    return {
        "survey": survey.survey,
        "compare": parity.compare,
        "overloads": parity.called_overloads,
    }


if __name__ == "__main__":
    main()
