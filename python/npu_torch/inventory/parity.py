"""Compares an operator's results on the device with the CPU's, over its samples and call forms."""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

from npu_torch.inventory import database, transfer
from npu_torch.inventory.overloads import RecordOverloads

FORMS = ("forward", "noncontiguous", "out", "inplace")

_MAX_REPORTED = 5

_STRIDED_OUT = "out, other strides"
_RESIZED_OUT = "out, resized"


@dataclasses.dataclass
class _Call:
    """One way of calling an operator; `run` works on arguments of either device."""

    form: str
    arguments: Any
    run: Callable[[Any], Any]
    # What must come out, where it is not what `run` gives on the CPU: into an out= tensor with
    # other strides some of the CPU's kernels write a wrong answer.
    expected: Any = None
    # What the CPU raises in spite of that; the device may, too.
    error: Exception | None = None


def compare(
    name: str, dtype_name: str, limit: int | None = None, forms: tuple[str, ...] = FORMS
) -> dict[str, Any]:
    """Run the operator's samples of the dtype on both devices.

    Returns how often each form ran ("runs") and what differed: a list of {"sample", "form",
    "message"} ("failures", the first five, and their number, "failed"). What the CPU raises the
    device must raise too. Random results are compared by shape and dtype. A result that is not the
    CPU's, but as near to the CPU's in the next wider type, counts as "imprecise_on_cpu".
    """
    op, dtype = database.operators()[name], database.DTYPES[dtype_name]
    comparison = _Comparison(op, dtype)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        for number, sample in database.samples(op, dtype, limit):
            comparison.sample(number, sample, forms)
    return {
        "runs": comparison.runs,
        "failures": comparison.failures[:_MAX_REPORTED],
        "failed": len(comparison.failures),
        "imprecise_on_cpu": comparison.imprecise,
    }


def called_overloads(name: str, dtype_name: str, limit: int | None = None) -> list[str]:
    """The dispatcher's operators that the compared calls reach on the device."""
    op, dtype = database.operators()[name], database.DTYPES[dtype_name]
    comparison = _Comparison(op, dtype)
    record = RecordOverloads()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        for _, sample in database.samples(op, dtype, limit):
            expected, _ = comparison.reference(sample)
            torch.npu.reset_fallback_stats()
            for call in _calls(op, sample, expected, FORMS):
                if torch.npu.fallback_stats() and call.form in (_STRIDED_OUT, _RESIZED_OUT):
                    continue
                arguments = database.on_device(op, call.arguments)
                with record, database.default_device(arguments):
                    _, error = _attempt(call.run, arguments)
                if error is not None:
                    torch.npu.reset_device()
    return sorted(record.names)


class _Comparison:
    def __init__(self, op: Any, dtype: torch.dtype) -> None:
        self.op = op
        self.rtol, self.atol = database.tolerance(op, dtype)
        self.runs: dict[str, int] = {}
        self.failures: list[dict[str, Any]] = []
        self.imprecise = 0

    def sample(self, number: int, sample: Any, forms: tuple[str, ...]) -> None:
        """Compare every form of one sample."""
        expected, is_random = self.reference(sample)
        ran_on_cpu = False
        for call in _calls(self.op, sample, expected, forms):
            # Given an out= tensor of its own layout, a fallback would test the CPU's kernel only.
            if ran_on_cpu and call.form in (_STRIDED_OUT, _RESIZED_OUT):
                continue
            if ran_on_cpu:
                call.expected = None
            torch.npu.reset_fallback_stats()
            self.runs[call.form] = self.runs.get(call.form, 0) + 1
            message = self._differs(call, is_random, sample.output_process_fn_grad)
            ran_on_cpu |= bool(torch.npu.fallback_stats())
            if message:
                self.failures.append(
                    {
                        "sample": f"{number}: {sample.summary()}"[:400],
                        "form": call.form,
                        "message": message[:600],
                    }
                )

    def reference(self, sample: Any) -> tuple[Any, bool]:
        """The CPU's result, None where it raises, and whether only its metadata counts."""
        arguments = transfer.moved((sample.input, sample.args, sample.kwargs), "cpu")
        with RecordOverloads() as calls:
            try:
                expected = self.op(arguments[0], *arguments[1], **arguments[2])
            except Exception:
                expected = None
        return expected, calls.random or self.op.name in database.UNINITIALIZED

    def _differs(self, call: _Call, is_random: bool, process: Callable[[Any], Any]) -> str | None:
        on_cpu = transfer.moved(call.arguments, "cpu")
        on_npu = database.on_device(self.op, call.arguments)
        expected, expected_error = call.expected, None
        if expected is None:
            database.seed_everything()
            expected, expected_error = _attempt(call.run, on_cpu)
        database.seed_everything()
        with database.default_device(on_npu):
            actual, actual_error = _attempt(call.run, on_npu)
        if actual_error is None:
            try:
                torch.npu.synchronize()
            except RuntimeError as error:
                actual_error = error
        if actual_error is not None and expected_error is None:
            torch.npu.reset_device()
        if actual_error is not None and call.error is not None:
            return _errors_differ(call.error, actual_error)
        if expected_error is not None or actual_error is not None:
            return _errors_differ(expected_error, actual_error)
        # Arguments too: an operator writes those that it should, and no others.
        theirs = self._observed(process(expected), on_cpu, call)
        ours = self._observed(process(actual), on_npu, call)
        message = (
            _wrong_device(actual)
            or _views_differ(on_cpu, expected, on_npu, actual)
            or (_metadata_differs(theirs, ours) if is_random else self._values_differ(theirs, ours))
        )
        if message and _NOT_CLOSE in message and self._as_precise(call, theirs, ours, process):
            self.imprecise += 1
            return None
        return message

    def _observed(self, result: Any, arguments: Any, call: _Call) -> tuple[Any, ...]:
        """What is compared: the result, and the arguments as they are afterwards."""
        result, arguments = transfer.moved((result, arguments), "cpu")
        result = database.without_ties(self.op, arguments, result)
        # Where an argument of the sample was a device, it now names either.
        return transfer.tree_map(
            lambda leaf: None if _is_device(leaf) else leaf,
            (result, arguments[:3] if call.expected is None else ()),
        )

    def _values_differ(self, theirs: Any, ours: Any) -> str | None:
        return _not_close(ours, theirs, self.rtol, self.atol)

    def _as_precise(
        self,
        call: _Call,
        theirs: tuple[Any, ...],
        ours: tuple[Any, ...],
        process: Callable[[Any], Any],
    ) -> bool:
        """Whether the device is as near to the CPU's result in the next wider type as the CPU is.

        The CPU's own result is the worse one where it rounds between steps, and neither is exact
        where large terms cancel.
        """
        arguments = transfer.tree_map(_widened, transfer.moved(call.arguments, "cpu"))
        result, error = _attempt(call.run, arguments)
        if error is not None:
            return False
        exact = transfer.tensors(self._observed(process(result), arguments, call))
        flat = [transfer.tensors(theirs), transfer.tensors(ours)]
        return len(exact) == len(flat[0]) == len(flat[1]) and all(
            not self._values_differ(wide.to(mine.dtype), mine)
            or _error(mine, wide) <= 2 * _error(cpu, wide)
            for wide, cpu, mine in zip(exact, *flat, strict=True)
        )


# How PyTorch's comparison begins where shapes and types are right.
_NOT_CLOSE = " are not close!"

_WIDER = {
    torch.bfloat16: torch.float32,
    torch.float16: torch.float32,
    torch.float32: torch.float64,
}


def _widened(leaf: Any) -> Any:
    if isinstance(leaf, torch.Tensor):
        return leaf.to(_WIDER.get(leaf.dtype, leaf.dtype))
    return _WIDER.get(leaf, leaf) if isinstance(leaf, torch.dtype) else leaf


def _error(tensor: torch.Tensor, exact: torch.Tensor) -> float:
    return float((tensor.double() - exact.double()).abs().max()) if tensor.numel() else 0.0


def _is_device(leaf: Any) -> bool:
    return isinstance(leaf, torch.device) or (isinstance(leaf, str) and leaf in ("cpu", "npu"))


def _calls(op: Any, sample: Any, expected: Any, forms: tuple[str, ...]) -> Iterator[_Call]:
    arguments = (sample.input, sample.args, sample.kwargs)

    def forward(values: Any) -> Any:
        return op(values[0], *values[1], **values[2])

    if "forward" in forms:
        yield _Call("forward", arguments, forward)
    if "noncontiguous" in forms and expected is not None and transfer.tensors(arguments):
        try:
            strided = sample.noncontiguous()
        except RuntimeError:
            strided = None  # a layout or dtype that PyTorch's helper does not take
        if strided is not None:
            values = (strided.input, strided.args, strided.kwargs)
            # Some of the CPU's kernels take contiguous tensors only.
            _, error = _attempt(forward, transfer.moved(values, "cpu"))
            yield _Call(
                "noncontiguous", values, forward, expected=expected if error else None, error=error
            )
    if "out" in forms and op.supports_out and "out" not in sample.kwargs:
        yield from _out_calls(op, arguments, expected)
    inplace = _inplace(op)
    if (
        "inplace" in forms
        and inplace is not None
        and isinstance(sample.input, torch.Tensor)
        and not sample.broadcasts_input
    ):
        yield _Call("inplace", arguments, lambda v: inplace(v[0], *v[1], **v[2]))


def _inplace(op: Any) -> Callable[..., Any] | None:
    variant = op.get_inplace()
    if variant is not None:
        return variant
    try:
        parameters = inspect.signature(op.op).parameters
    except (TypeError, ValueError):
        return None
    if "inplace" in parameters:
        return lambda *args, **kwargs: op.op(*args, **{**kwargs, "inplace": True})
    return None


def _out_calls(op: Any, arguments: Any, expected: Any) -> Iterator[_Call]:
    """The results' own shape, other strides, and an empty tensor that is resized."""
    single = isinstance(expected, torch.Tensor)
    results = [expected] if single else list(expected) if isinstance(expected, tuple) else []
    if not results or not all(isinstance(result, torch.Tensor) for result in results):
        return

    def run(values: Any) -> Any:
        outs = values[3]
        before = [(out.shape, out.stride()) for out in outs]
        got = op(values[0], *values[1], **values[2], out=outs[0] if single else tuple(outs))
        for out, result, (shape, stride) in zip(
            outs, [got] if single else got, before, strict=True
        ):
            if out.data_ptr() != result.data_ptr():
                raise AssertionError("the result is not the out= tensor")
            if out.numel() and out.shape == shape and out.stride() != stride:
                raise AssertionError(f"out= had strides {stride}, now {out.stride()}")
        return outs

    shaped = [torch.ones_like(result, memory_format=torch.contiguous_format) for result in results]
    transposed = [
        torch.ones(tuple(reversed(result.shape)), dtype=result.dtype).permute(
            tuple(reversed(range(result.dim())))
        )
        for result in results
    ]
    empty = [torch.empty((0,), dtype=result.dtype) for result in results]
    for form, outs in (("out", shaped), (_STRIDED_OUT, transposed), (_RESIZED_OUT, empty)):
        if form == _STRIDED_OUT and all(result.dim() < 2 for result in results):
            continue
        error = None
        if op.name not in database.CPU_WRITES_ELSEWHERE:
            _, error = _attempt(run, transfer.moved((*arguments, outs), "cpu"))
        yield _Call(form, (*arguments, outs), run, expected=None if error else results)


def _attempt(run: Callable[[Any], Any], arguments: Any) -> tuple[Any, Exception | None]:
    try:
        return run(arguments), None
    except Exception as error:
        return None, error


def _errors_differ(expected: Exception | None, actual: Exception | None) -> str | None:
    if expected is None:
        return f"raised {type(actual).__name__}: {actual}"
    if actual is None:
        return f"raised nothing, the CPU {type(expected).__name__}: {expected}"
    if isinstance(actual, type(expected)) or isinstance(expected, type(actual)):
        return None
    return (
        f"raised {type(actual).__name__}: {actual}, the CPU {type(expected).__name__}: {expected}"
    )


def _wrong_device(actual: Any) -> str | None:
    """A result that is on the CPU although no tensor of the CPU went in."""
    for tensor in transfer.tensors(actual):
        if tensor.device.type != "npu":
            return f"a result is on {tensor.device}"
    return None


def _views_differ(on_cpu: Any, expected: Any, on_npu: Any, actual: Any) -> str | None:
    """Results that are views of an argument on the CPU must be so here, with the same strides."""
    for index, (theirs, ours) in enumerate(
        zip(transfer.tensors(expected), transfer.tensors(actual), strict=False)
    ):
        if theirs.layout != torch.strided or theirs.is_nested or theirs.numel() == 0:
            continue
        of_theirs = _argument_of(on_cpu, theirs)
        if of_theirs is None:
            continue
        if _argument_of(on_npu, ours) != of_theirs:
            return f"result {index} is a view of an argument on the CPU, a copy here"
        if theirs.stride() != ours.stride():
            return f"result {index}: strides {ours.stride()}, CPU {theirs.stride()}"
    return None


def _argument_of(arguments: Any, result: torch.Tensor) -> int | None:
    for index, tensor in enumerate(transfer.tensors(arguments)):
        if (
            tensor.layout == torch.strided
            and not tensor.is_nested
            and result.layout == torch.strided
            and tensor.untyped_storage().data_ptr() == result.untyped_storage().data_ptr()
        ):
            return index
    return None


def _metadata_differs(theirs: Any, ours: Any) -> str | None:
    described = [
        [(tuple(tensor.shape), str(tensor.dtype)) for tensor in transfer.tensors(value)]
        for value in (theirs, ours)
    ]
    return None if described[0] == described[1] else f"{described[1]}, CPU {described[0]}"


def _not_close(actual: Any, expected: Any, rtol: float, atol: float) -> str | None:
    """As PyTorch's own tests compare; None when the values are equal within the tolerances."""
    from torch.testing._comparison import NonePair, ObjectPair, not_close_error_metas
    from torch.testing._internal import common_utils as utils

    metas = not_close_error_metas(
        actual,
        expected,
        pair_types=(
            NonePair,
            utils.RelaxedBooleanPair,
            utils.RelaxedNumberPair,
            utils.TensorOrArrayPair,
            utils.StringPair,
            utils.SetPair,
            utils.TypePair,
            ObjectPair,
        ),
        rtol_override=rtol,
        atol_override=atol,
        equal_nan=True,
    )
    if not metas:
        return None
    return " ".join(str(metas[0].to_error()).split())
