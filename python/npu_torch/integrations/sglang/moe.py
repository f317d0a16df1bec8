"""Mixture of experts: SGLang's router and its unquantised experts on the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from sglang.srt.layers.moe.token_dispatcher import StandardCombineInput
from sglang.srt.layers.moe.topk import StandardTopKOutput, TopK
from sglang.srt.layers.quantization.unquant import UnquantizedFusedMoEMethod
from torch import Tensor

from npu_torch.integrations.experts import mixture, route

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": lambda x: torch.ops.npu.silu_and_mul(x),
    "gelu": lambda x: torch.ops.npu.gelu_and_mul(x, "tanh"),
}


def choose_experts(self: TopK, hidden_states: Tensor, router_logits: Tensor, **options: Any) -> Any:
    """Experts of each token; router_logits [tokens, experts]. Other routers are SGLang's own."""
    config = self.topk_config
    if (
        config.use_grouped_topk
        or config.custom_routing_function is not None
        or config.correction_bias is not None
        or config.num_fused_shared_experts
        or config.scoring_func != "softmax"
        or config.apply_routed_scaling_factor_on_output
        or any(option is not None for option in options.values())
    ):
        return self.forward_native(hidden_states, router_logits, **options)
    weights, ids = route(router_logits, config.top_k, config.renormalize)
    return StandardTopKOutput(weights, ids, router_logits)


def run_experts(self: UnquantizedFusedMoEMethod, layer: Any, dispatch_output: Any) -> Any:
    """The experts' outputs, summed up by the router's weights."""
    config = self.moe_runner_config
    unknown = {
        "biases": self.with_bias,
        "no gate": not config.is_gated,
        "routing weights on their input": config.apply_router_weight_on_input,
        "outputs apart": config.no_combine,
        "a scaling factor": config.routed_scaling_factor not in (None, 1.0),
        "clamped activations": config.gemm1_alpha is not None
        or config.gemm1_clamp_limit is not None
        or config.swiglu_limit is not None,
        f"activation {config.activation}": config.activation not in _ACTIVATIONS,
    }
    for what, present in unknown.items():
        if present:
            raise NotImplementedError(f"experts with {what} on the npu")
    weights, ids, _ = dispatch_output.topk_output
    output = mixture(
        dispatch_output.hidden_states,
        layer.w13_weight,
        layer.w2_weight,
        weights,
        ids,
        _ACTIVATIONS[config.activation],
    )
    return StandardCombineInput(hidden_states=output)
