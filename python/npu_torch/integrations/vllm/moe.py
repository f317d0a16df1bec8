"""Mixture of experts: vLLM's unquantised experts on the device. kernels.py has the router."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor
from vllm.model_executor.layers.fused_moe.activation import MoEActivation
from vllm.model_executor.layers.fused_moe.unquantized_fused_moe_method import (
    UnquantizedFusedMoEMethod,
)

from npu_torch.integrations.experts import mixture


def _gated(activation: MoEActivation, x: Tensor) -> Tensor:
    if activation == MoEActivation.SILU:
        return torch.ops.npu.silu_and_mul(x)
    if activation == MoEActivation.GELU:
        return torch.ops.npu.gelu_and_mul(x, "none")
    if activation == MoEActivation.GELU_TANH:
        return torch.ops.npu.gelu_and_mul(x, "tanh")
    raise NotImplementedError(f"experts with activation {activation} on the npu")


class NpuUnquantizedFusedMoEMethod(UnquantizedFusedMoEMethod):
    """The experts in a handful of launches."""

    @property
    def is_monolithic(self) -> bool:
        """Routing is the router's."""
        return False

    @property
    def topk_indices_dtype(self) -> torch.dtype:
        """What torch.topk yields, so that nothing need be converted."""
        return torch.int64

    def apply(
        self,
        layer: Any,
        x: Tensor,
        topk_weights: Tensor,
        topk_ids: Tensor,
        shared_experts: Any,
        shared_experts_input: Tensor | None,
    ) -> Tensor:
        """x [tokens, hidden]; topk_weights and topk_ids [tokens, k]. Returns [tokens, hidden]."""
        if self.moe.has_bias:
            raise NotImplementedError("experts with biases on the npu")
        if layer.expert_map is not None:
            raise NotImplementedError("expert parallelism on the npu")
        if layer.apply_router_weight_on_input:
            raise NotImplementedError("routing weights on the experts' input on the npu")
        gated = functools.partial(_gated, layer.activation)
        return mixture(x, layer.w13_weight, layer.w2_weight, topk_weights, topk_ids, gated)
