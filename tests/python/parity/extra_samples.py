"""Samples for the registered operators that no entry of op_db calls in the compared forms.

Most are overloads beside one that an entry does call, or that it calls in its backward pass: their
arguments are recorded from that entry's runs on the CPU. The others have samples written here.
"""

import itertools
import operator
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.testing._internal.opinfo.core import SampleInput
from torch.utils._python_dispatch import TorchDispatchMode

from npu_torch.inventory import database, transfer

SAMPLES = 4
FLOATS = (torch.float32, torch.bfloat16)
ALL = (*FLOATS, torch.int64)


def overload(name: str) -> Any:
    base, _, variant = name.removeprefix("aten::").partition(".")
    return getattr(getattr(torch.ops.aten, base), variant or "default")


class Operator:
    """What the comparison needs of an entry of op_db."""

    variant_test_name = ""
    supports_out = False
    decorators = ()

    def __init__(self, name: str, op: Callable[..., Any], dtypes: tuple[torch.dtype, ...]) -> None:
        self.name = name
        self.op = op
        self.dtypes = set(dtypes)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.op(*args, **kwargs)

    def get_inplace(self) -> None:
        return None


class Written(Operator):
    """Samples written by hand: tuples of positional arguments, made by a function of the dtype."""

    def __init__(self, name, samples, dtypes=FLOATS, op=None) -> None:
        super().__init__(name, op or overload(name), dtypes)
        self._samples = samples

    def sample_inputs(self, device: str, dtype: torch.dtype, requires_grad: bool) -> Iterator[Any]:
        for arguments in self._samples(dtype):
            yield SampleInput(arguments[0], args=tuple(arguments[1:]))


class _Record(TorchDispatchMode):
    """Keeps the arguments of calls to any overload of one operator."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self.base = base
        self.calls: list[tuple[Any, Any, Any]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func._schema.name == self.base:
            arguments = transfer.moved((args, kwargs or {}), "cpu")
            self.calls.append((func, *arguments))
        return func(*args, **(kwargs or {}))


class Recorded(Operator):
    """An overload with the arguments that an entry of op_db passes to its sibling.

    An out= overload is given tensors of the right shape for the even samples, empty ones for the
    odd ones; what must come out is what the sibling without out= gives on the CPU.
    """

    def __init__(self, name: str, source: str) -> None:
        self._source = database.operators()[source]
        types = FLOATS if "_backward" in name else ALL
        super().__init__(name, overload(name), tuple(self._source.dtypes & set(types)))
        self._sibling: Any = None
        self._outs = [
            argument.name
            for argument in self.op._schema.arguments
            if argument.alias_info is not None and argument.alias_info.is_write
        ]

    def sample_inputs(self, device: str, dtype: torch.dtype, requires_grad: bool) -> Iterator[Any]:
        for number, (func, args, kwargs) in enumerate(self._calls(dtype)):
            self._sibling = func
            named = dict(kwargs)
            if self._outs:
                results = func(*args, **kwargs)
                results = [results] if isinstance(results, torch.Tensor) else results
                for name, result in zip(self._outs, results, strict=True):
                    named[name] = (
                        torch.ones_like(result) if number % 2 == 0 else result.new_empty(0)
                    )
            yield SampleInput(args[0], args=tuple(args[1:]), kwargs=named)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._outs or any(t.device.type != "cpu" for t in transfer.tensors((args, kwargs))):
            return self.op(*args, **kwargs)
        outs = [kwargs.pop(name) for name in self._outs]
        results = self._sibling(*args, **kwargs)
        for out, result in zip(outs, [results] if len(outs) == 1 else results, strict=True):
            if out.shape != result.shape:
                out.resize_(result.shape)
            out.copy_(result)
        return outs[0] if len(outs) == 1 else tuple(outs)

    def _calls(self, dtype: torch.dtype) -> list[tuple[Any, Any, Any]]:
        base = self.op._schema.name
        calls: list[tuple[Any, Any, Any]] = []
        database.seed_everything()
        differentiable = dtype.is_floating_point and self._source.supports_autograd
        found = self._source.sample_inputs("cpu", dtype, requires_grad=differentiable)
        for sample in itertools.islice(found, 24):
            with torch.enable_grad(), _Record(base) as record:
                try:
                    result = self._source(sample.input, *sample.args, **sample.kwargs)
                    if differentiable:
                        roots = [t for t in transfer.tensors(result) if t.requires_grad]
                        torch.autograd.backward(roots, [torch.randn_like(t) for t in roots])
                except RuntimeError:
                    continue
            wanted = self._arguments()
            calls += [call for call in record.calls if self._fits(call[0], wanted)][:1]
            if len(calls) == SAMPLES:
                break
        assert calls or not differentiable, f"{self._source.name} does not call {base}"
        return calls

    def _arguments(self) -> list[str]:
        return [a.name for a in self.op._schema.arguments if a.name not in self._outs]

    def _fits(self, func: Any, wanted: list[str]) -> bool:
        names = [a.name for a in func._schema.arguments]
        written = any(
            a.alias_info is not None and a.alias_info.is_write for a in func._schema.arguments
        )
        return names == wanted and not written


# Overloads and the entry of op_db that calls a sibling of theirs.
_SOURCES = {
    "_log_softmax.out": "log_softmax",
    "_log_softmax_backward_data": "log_softmax",
    "_log_softmax_backward_data.out": "log_softmax",
    "_prelu_kernel_backward": "nn.functional.prelu",
    "_softmax.out": "softmax",
    "_softmax_backward_data.out": "softmax",
    "_upsample_nearest_exact1d": "nn.functional.interpolate.nearest-exact",
    "_upsample_nearest_exact1d.out": "nn.functional.interpolate.nearest-exact",
    "_upsample_nearest_exact2d": "nn.functional.interpolate.nearest-exact",
    "_upsample_nearest_exact2d.out": "nn.functional.interpolate.nearest-exact",
    "_upsample_nearest_exact3d": "nn.functional.interpolate.nearest-exact",
    "_upsample_nearest_exact3d.out": "nn.functional.interpolate.nearest-exact",
    "binary_cross_entropy.out": "nn.functional.binary_cross_entropy",
    "binary_cross_entropy_backward": "nn.functional.binary_cross_entropy",
    "binary_cross_entropy_backward.grad_input": "nn.functional.binary_cross_entropy",
    "elu.out": "nn.functional.elu",
    "elu_backward": "nn.functional.elu",
    "elu_backward.grad_input": "nn.functional.elu",
    "embedding_dense_backward": "nn.functional.embedding",
    "gelu_backward": "nn.functional.gelu",
    "gelu_backward.grad_input": "nn.functional.gelu",
    "glu.out": "nn.functional.glu",
    "hardshrink_backward": "nn.functional.hardshrink",
    "hardshrink_backward.grad_input": "nn.functional.hardshrink",
    "hardsigmoid.out": "nn.functional.hardsigmoid",
    "hardsigmoid_backward": "nn.functional.hardsigmoid",
    "hardsigmoid_backward.grad_input": "nn.functional.hardsigmoid",
    "hardswish.out": "nn.functional.hardswish",
    "hardswish_backward": "nn.functional.hardswish",
    "hardtanh.out": "nn.functional.hardtanh",
    "hardtanh_backward": "nn.functional.hardtanh",
    "hardtanh_backward.grad_input": "nn.functional.hardtanh",
    "huber_loss.out": "nn.functional.huber_loss",
    "leaky_relu.out": "nn.functional.leaky_relu",
    "leaky_relu_backward": "nn.functional.leaky_relu",
    "leaky_relu_backward.grad_input": "nn.functional.leaky_relu",
    "log_sigmoid_backward": "nn.functional.logsigmoid",
    "log_sigmoid_backward.grad_input": "nn.functional.logsigmoid",
    "logit_backward": "logit",
    "logit_backward.grad_input": "logit",
    "max_pool2d_with_indices.out": "nn.functional.max_pool2d",
    "mish.out": "nn.functional.mish",
    "mish_backward": "nn.functional.mish",
    "mse_loss.out": "nn.functional.mse_loss",
    "mse_loss_backward": "nn.functional.mse_loss",
    "mse_loss_backward.grad_input": "nn.functional.mse_loss",
    "nll_loss2d_backward": "nn.functional.nll_loss",
    "nll_loss2d_backward.grad_input": "nn.functional.nll_loss",
    "nll_loss2d_forward.output": "nn.functional.nll_loss",
    "nll_loss_backward": "nn.functional.nll_loss",
    "nll_loss_backward.grad_input": "nn.functional.nll_loss",
    "nll_loss_forward.output": "nn.functional.nll_loss",
    "sigmoid_backward": "sigmoid",
    "sigmoid_backward.grad_input": "sigmoid",
    "silu.out": "nn.functional.silu",
    "silu_backward": "nn.functional.silu",
    "silu_backward.grad_input": "nn.functional.silu",
    "smooth_l1_loss.out": "nn.functional.smooth_l1_loss",
    "softplus_backward": "nn.functional.softplus",
    "softplus_backward.grad_input": "nn.functional.softplus",
    "softshrink_backward": "nn.functional.softshrink",
    "softshrink_backward.grad_input": "nn.functional.softshrink",
    "tanh_backward": "tanh",
    "tanh_backward.grad_input": "tanh",
    "threshold.out": "nn.functional.threshold",
    "threshold_backward": "nn.functional.threshold",
    "threshold_backward.grad_input": "nn.functional.threshold",
    "upsample_bilinear2d.out": "nn.functional.interpolate.bilinear",
    "upsample_linear1d.out": "nn.functional.interpolate.linear",
    "upsample_nearest1d.out": "nn.functional.interpolate.nearest",
    "upsample_nearest2d.out": "nn.functional.interpolate.nearest",
    "upsample_nearest3d.out": "nn.functional.interpolate.nearest",
    "upsample_trilinear3d.out": "nn.functional.interpolate.trilinear",
    **{
        f"{mode}_pad{dims}d{suffix}": f"nn.functional.pad.{variant}"
        for mode, variant in (("reflection", "reflect"), ("replication", "replicate"))
        for dims in (1, 2, 3)
        for suffix in (".out", "_backward", "_backward.grad_input")
    },
}


def floats(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    return (torch.rand(shape) * 8 - 4).to(dtype)


def matrices(dtype: torch.dtype) -> list[tuple[Any, ...]]:
    return [
        (floats(3, 4, dtype=dtype),),
        (floats(0, 4, dtype=dtype),),
        (floats(4, 3, dtype=dtype).t(),),
    ]


def like(x: torch.Tensor, *shape: int, dtype: torch.dtype | None = None) -> torch.Tensor:
    """An uninteresting tensor for out=, on x's device."""
    return torch.ones(shape, dtype=dtype or x.dtype, device=x.device)


def through(
    *names: str, samples=matrices, dtypes=ALL, op: Callable[..., Any]
) -> dict[str, Written]:
    """Operators that are reached through others: one function that calls them all."""
    return {f"aten::{name}": Written(f"aten::{name}", samples, dtypes, op) for name in names}


def bias_and_factors(dtype: torch.dtype) -> list[tuple[Any, ...]]:
    return [(floats(5, dtype=dtype), floats(3, 4, dtype=dtype), floats(4, 5, dtype=dtype))]


def groups_of_rows(dtype: torch.dtype) -> list[tuple[Any, ...]]:
    ends = torch.tensor([2, 2, 5], dtype=torch.int32)
    return [(floats(5, 8, dtype=dtype), floats(3, 8, 16, dtype=dtype), ends)]


def scattered(dtype: torch.dtype) -> list[tuple[Any, ...]]:
    index = torch.tensor([[0, 2, 1], [2, 0, 0]])
    return [(floats(3, 3, dtype=dtype), 0, index, 2), (floats(2, 4, dtype=dtype), 1, index, 3)]


def batches(dtype: torch.dtype) -> list[tuple[Any, ...]]:
    return [(floats(2, 3, 4, 5, dtype=dtype),), (floats(3, 7, 6, dtype=dtype),)]


def volumes(dtype: torch.dtype) -> list[tuple[Any, ...]]:
    return [(floats(2, 3, 4, 5, 3, dtype=dtype),), (floats(3, 7, 6, 4, dtype=dtype),)]


def heads(dtype: torch.dtype) -> list[tuple[Any, ...]]:
    return [tuple(floats(2, 4, 6, 8, dtype=dtype) for _ in range(3))]


def compare_into(name: str) -> Callable[..., Any]:
    def run(x: torch.Tensor) -> torch.Tensor:
        return getattr(torch, name)(x, 1, out=like(x, 0, dtype=torch.bool))

    return run


def assert_async(x: torch.Tensor) -> torch.Tensor:
    torch._assert_async(x.sum() < 10**6)
    torch._assert_async(x.sum() < 10**6, "too large")
    return x


def storages(x: torch.Tensor) -> list[torch.Tensor]:
    return [
        like(x, 2).set_(),
        like(x, 2).set_(x),
        like(x, 2).set_(x.untyped_storage()) if x.is_contiguous() else x,
        like(x, 2).set_(x.untyped_storage(), x.storage_offset(), x.shape, x.stride()),
    ]


def recorded_on_stream(x: torch.Tensor) -> torch.Tensor:
    y = x + 1
    if x.device.type == "npu":
        y.record_stream(torch.npu.Stream())
    return y


def random_into(x: torch.Tensor) -> list[torch.Tensor]:
    return [
        x.clone().random_(),
        x.clone().random_(7),
        x.clone().random_(3, 9),
        torch.randperm(9, out=like(x, 0, dtype=torch.int64)),
        torch.normal(1.0, x.float().abs()),
        torch.normal(1.0, x.float().abs(), out=like(x, 0, dtype=torch.float32)),
        x.clone().float().bernoulli_(x.float().abs() / 4),
    ]


def shifted(x: torch.Tensor, by: torch.Tensor) -> list[torch.Tensor]:
    return [
        function(x.clone(), amount)
        for function in (operator.lshift, operator.rshift, operator.ilshift, operator.irshift)
        for amount in (2, by)
    ]


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)


def convolved(x: torch.Tensor) -> list[torch.Tensor]:
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        weight = torch.linspace(-1, 1, 54, device=x.device, dtype=x.dtype).view(2, 3, 3, 3)
        weight.requires_grad_()
        y = torch.nn.functional.conv2d(x.view(2, 3, 4, 5), weight, padding=1)
        y.sum().backward()
    return [y.detach(), x.grad, weight.grad]


def rms_normed(x: torch.Tensor) -> list[torch.Tensor]:
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        weight = torch.linspace(0.5, 2, x.shape[-1], device=x.device, dtype=x.dtype)
        weight.requires_grad_()
        y = torch.nn.functional.rms_norm(x, x.shape[-1:], weight, 1e-3)
        (y * y).sum().backward()
    return [y.detach(), x.grad, weight.grad]


def norms(x: torch.Tensor) -> list[torch.Tensor]:
    return [
        torch.ops.aten.norm.ScalarOpt_dim_dtype(x, 2, [0], False, dtype=torch.float32),
        torch.ops.aten.norm.dtype_out(
            x, 2, [1], True, dtype=torch.float32, out=like(x, 0, dtype=torch.float32)
        ),
        torch.ops.aten.norm.out(x, 1, [1], False, out=like(x, 0)),
    ]


WRITTEN: dict[str, Operator] = {
    **through(
        "_addmm_activation",
        "_addmm_activation.out",
        samples=bias_and_factors,
        dtypes=FLOATS,
        op=lambda bias, a, b: [
            torch._addmm_activation(bias, a, b),
            torch._addmm_activation(bias, a, b, use_gelu=True, out=like(a, 0)),
        ],
    ),
    **through("_assert_async", "_assert_async.msg", op=assert_async),
    **through(
        "_copy_from",
        "_copy_from_and_resize",
        op=lambda x: [x.to(torch.float32), like(x, 2).resize_(x.shape).copy_(x)],
    ),
    **through(
        "_grouped_mm",
        samples=groups_of_rows,
        dtypes=FLOATS,
        op=lambda a, b, ends: torch._grouped_mm(a, b, ends),
    ),
    **through(
        "_cummax_helper", "_cummin_helper", op=lambda x: [torch.cummax(x, 1), torch.cummin(x, 0)]
    ),
    **through(
        "_logcumsumexp",
        "_logcumsumexp.out",
        dtypes=FLOATS,
        op=lambda x: [torch.logcumsumexp(x, 1), torch.logcumsumexp(x, 0, out=like(x, 0))],
    ),
    **through(
        "_fused_sdp_choice",
        "_scaled_dot_product_fused_attention_overrideable",
        samples=heads,
        dtypes=FLOATS,
        op=attention,
    ),
    **through("_reshape_alias", op=lambda x: torch.ops.aten._reshape_alias(x, x.shape, x.stride())),
    **through(
        "_index_put_impl_",
        "index.Tensor_out",
        samples=lambda dtype: [(floats(3, 4, dtype=dtype), torch.tensor([0, 2]))],
        op=lambda x, i: [
            x.clone().index_put_((i,), x[i] + 1, accumulate=True),
            torch.ops.aten.index.Tensor_out(x, [i], out=like(x, 0)),
        ],
    ),
    **through(
        "_unique",
        "unique_dim_consecutive",
        op=lambda x: [
            torch._unique(x.round(), True, True),
            torch.unique_consecutive(x.round(), return_counts=True, dim=0),
        ],
    ),
    **through(
        "_fused_rms_norm",
        "_fused_rms_norm_backward",
        samples=batches,
        dtypes=FLOATS,
        op=rms_normed,
    ),
    **through(
        "_native_batch_norm_legit.no_stats",
        samples=batches,
        dtypes=FLOATS,
        op=lambda x: torch.ops.aten._native_batch_norm_legit.no_stats(
            x, None, None, True, 0.1, 1e-5
        ),
    ),
    **through(
        "adaptive_avg_pool2d.out",
        samples=batches,
        dtypes=FLOATS,
        op=lambda x: torch._C._nn.adaptive_avg_pool2d(x, (2, 3), out=like(x, 0)),
    ),
    **through(
        "adaptive_avg_pool3d.out",
        samples=volumes,
        dtypes=FLOATS,
        op=lambda x: torch._C._nn.adaptive_avg_pool3d(x, (2, 3, 1), out=like(x, 0)),
    ),
    **through(
        "all.dim",
        "all.out",
        "prod.int_out",
        op=lambda x: [
            torch.all(x > 0, dim=1),
            torch.all(x > 0, dim=1, out=like(x, 0, dtype=torch.bool)),
            torch.prod(x, 1, out=like(x, 0)),
        ],
    ),
    **through(
        "bucketize.Scalar",
        "searchsorted.Scalar",
        "searchsorted.Scalar_out",
        samples=lambda dtype: [(torch.tensor([-2, 0, 1, 5]).to(dtype),)],
        op=lambda x: [
            torch.bucketize(1, x),
            torch.searchsorted(x, 0, right=True),
            torch.searchsorted(x, 4, out=like(x, 0, dtype=torch.int64)),
        ],
    ),
    **through(
        "clamp.out",
        "clamp_max",
        "clamp_max.out",
        "clamp_min.out",
        op=lambda x: [
            torch.clamp(x, -1, 2, out=like(x, 0)),
            torch.clamp_max(x, 1),
            torch.clamp_max(x, 1, out=like(x, 0)),
            torch.clamp_min(x, 1, out=like(x, 0)),
        ],
    ),
    **through(
        "convolution_overrideable",
        "convolution_backward_overrideable",
        samples=lambda dtype: [(floats(120, dtype=dtype),)],
        dtypes=(torch.float32,),
        op=convolved,
    ),
    **through(
        "fill_.Tensor",
        "masked_fill_.Tensor",
        op=lambda x: [
            x.clone().fill_(torch.ones((), dtype=x.dtype, device=x.device)),
            x.clone().masked_fill_(x > 0, torch.ones((), dtype=x.dtype, device=x.device)),
        ],
    ),
    **through(
        "huber_loss_backward.out",
        "smooth_l1_loss_backward.grad_input",
        dtypes=FLOATS,
        op=lambda x: [
            torch.ops.aten.huber_loss_backward.out(x, x, x * 2, 1, 0.7, grad_input=like(x, 0)),
            torch.ops.aten.smooth_l1_loss_backward.grad_input(
                x, x, x * 2, 1, 0.7, grad_input=like(x, 0)
            ),
        ],
    ),
    **through(
        "isin.Scalar_Tensor",
        "isin.Scalar_Tensor_out",
        "isin.Tensor_Scalar",
        "isin.Tensor_Scalar_out",
        op=lambda x: [
            torch.isin(1, x.round()),
            torch.ops.aten.isin.Scalar_Tensor_out(1, x.round(), out=like(x, 0, dtype=torch.bool)),
            torch.isin(x.round(), 1),
            torch.ops.aten.isin.Tensor_Scalar_out(x.round(), 1, out=like(x, 0, dtype=torch.bool)),
        ],
    ),
    **through(
        "median.dim_values",
        "nanmedian.dim_values",
        samples=lambda dtype: [(torch.randperm(15).view(3, 5).to(dtype),)],
        op=lambda x: [
            torch.median(x, 1, out=(like(x, 0), like(x, 0, dtype=torch.int64))),
            torch.nanmedian(x, 1, out=(like(x, 0), like(x, 0, dtype=torch.int64))),
        ],
    ),
    **through(
        "nonzero_static.out",
        op=lambda x: torch.ops.aten.nonzero_static.out(
            x, size=4, fill_value=-1, out=like(x, 0, dtype=torch.int64)
        ),
    ),
    **through(
        "norm.ScalarOpt_dim_dtype", "norm.dtype_out", "norm.out", dtypes=(torch.float32,), op=norms
    ),
    **through(
        "pow.Scalar",
        "pow.Scalar_out",
        op=lambda x: [torch.pow(2, x.abs()), torch.pow(2, x.abs(), out=like(x, 0))],
    ),
    **through(
        "random_",
        "random_.from",
        "random_.to",
        "randperm.generator_out",
        "normal.float_Tensor",
        "normal.float_Tensor_out",
        "bernoulli_.Tensor",
        dtypes=(torch.float32, torch.int64),
        op=random_into,
    ),
    **through("range.out", op=lambda x: torch.ops.aten.range.out(0, 5, 2, out=like(x, 0))),
    **through("record_stream", op=recorded_on_stream),
    **through(
        *(
            f"__{way}shift__.{kind}"
            for way in ("l", "r", "il", "ir")
            for kind in ("Scalar", "Tensor")
        ),
        samples=lambda dtype: [(torch.arange(-9, 9).to(dtype), torch.arange(18).to(dtype) % 5)],
        dtypes=(torch.int64,),
        op=shifted,
    ),
    **through("scatter.value", samples=scattered, op=torch.ops.aten.scatter.value),
    **through(
        "scatter.value_out",
        samples=scattered,
        op=lambda x, d, i, v: torch.ops.aten.scatter.value_out(x, d, i, v, out=like(x, 0)),
    ),
    **through(
        "scatter.value_reduce",
        "scatter.value_reduce_out",
        samples=scattered,
        op=lambda x, d, i, v: [
            torch.scatter(x, d, i, v, reduce="add"),
            torch.ops.aten.scatter.value_reduce_out(x, d, i, v, reduce="multiply", out=like(x, 0)),
        ],
    ),
    **through(
        "set_",
        "set_.source_Storage",
        "set_.source_Storage_storage_offset",
        "set_.source_Tensor",
        op=storages,
    ),
    **through(
        "view_as_real",
        dtypes=(torch.float32,),
        op=lambda x: torch.view_as_real(torch.view_as_complex(torch.stack([x, x + 1], -1))),
    ),
    **{
        name: entry
        for compared in ("eq", "ge", "gt", "le", "lt", "ne")
        for name, entry in through(
            f"{compared}.Scalar", f"{compared}.Scalar_out", op=compare_into(compared)
        ).items()
    },
}

OPERATORS: dict[str, Operator] = {
    **{f"aten::{name}": Recorded(f"aten::{name}", source) for name, source in _SOURCES.items()},
    **WRITTEN,
}
