"""Whether an operator runs natively: its samples on the device, fallbacks counted."""

from __future__ import annotations

from typing import Any

import torch

from npu_torch.inventory import database, transfer


def survey(name: str, dtype_name: str, limit: int | None = None) -> dict[str, Any]:
    """Run the operator's samples of the dtype on the device.

    The result's "status" is "native" when no sample touched the fallback, else "fallback", "error"
    when a sample that the CPU takes raised on the device, "unsupported dtype" when the CPU has no
    such kernel either. "fallbacks" counts CPU runs by operator.
    """
    op, dtype = database.operators()[name], database.DTYPES[dtype_name]
    result: dict[str, Any] = {"samples": 0, "fallbacks": {}, "error": None}
    if dtype not in op.dtypes:
        return {**result, "status": "unsupported dtype"}
    for number, sample in database.samples(op, dtype, limit):
        arguments = database.on_device(op, (sample.input, sample.args, sample.kwargs))
        torch.npu.reset_fallback_stats()
        try:
            with torch.no_grad(), database.default_device(arguments):
                op(arguments[0], *arguments[1], **arguments[2])
            torch.npu.synchronize()
        except Exception as error:
            if _cpu_takes(op, sample):
                result["error"] = f"sample {number}: {type(error).__name__}: {error}"[:400]
                torch.npu.reset_device()
                break
            continue
        finally:
            for fallback, count in torch.npu.fallback_stats().items():
                result["fallbacks"][fallback] = result["fallbacks"].get(fallback, 0) + count
        result["samples"] += 1
    if result["error"]:
        status = "error"
    elif result["fallbacks"]:
        status = "fallback"
    else:
        status = "native" if result["samples"] else "unsupported dtype"
    return {**result, "status": status}


def _cpu_takes(op: Any, sample: Any) -> bool:
    arguments = transfer.moved((sample.input, sample.args, sample.kwargs), "cpu")
    try:
        with torch.no_grad():
            op(arguments[0], *arguments[1], **arguments[2])
    except Exception:
        return False
    return True
