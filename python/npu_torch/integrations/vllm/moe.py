"""Mixture of experts: vLLM's unquantised experts on the device. kernels.py has the router."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from vllm.model_executor.layers.fused_moe.activation import MoEActivation
from vllm.model_executor.layers.fused_moe.unquantized_fused_moe_method import (
    UnquantizedFusedMoEMethod,
)

# Bounds what one pass over all experts takes in memory, in elements of its widest intermediate.
_PASS_ELEMENTS = 1 << 26


def _gated(activation: MoEActivation, x: Tensor) -> Tensor:
    if activation == MoEActivation.SILU:
        return torch.ops.npu.silu_and_mul(x)
    if activation == MoEActivation.GELU:
        return torch.ops.npu.gelu_and_mul(x, "none")
    if activation == MoEActivation.GELU_TANH:
        return torch.ops.npu.gelu_and_mul(x, "tanh")
    raise NotImplementedError(f"experts with activation {activation} on the npu")


class NpuUnquantizedFusedMoEMethod(UnquantizedFusedMoEMethod):
    """Every expert computes every token; the weights of those not chosen are zero.

    That costs experts / k times the arithmetic, but only five launches.
    """

    @property
    def is_monolithic(self) -> bool:
        """Routing is the router's."""
        return False

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
        experts, width, _ = layer.w13_weight.shape
        weights = torch.zeros((x.shape[0], experts), dtype=x.dtype, device=x.device)
        weights.scatter_(1, topk_ids.long(), topk_weights.to(x.dtype))
        rows = max(1, _PASS_ELEMENTS // (experts * width))
        passes = zip(x.split(rows), weights.split(rows), strict=True)
        results = [self._pass(layer, tokens, chosen) for tokens, chosen in passes]
        return results[0] if len(results) == 1 else torch.cat(results)

    def _pass(self, layer: Any, x: Tensor, weights: Tensor) -> Tensor:
        experts = weights.shape[1]
        up = torch.bmm(x.expand(experts, -1, -1), layer.w13_weight.transpose(1, 2))
        down = torch.bmm(_gated(layer.activation, up), layer.w2_weight.transpose(1, 2))
        # [tokens, 1, experts] @ [tokens, experts, hidden]
        return torch.bmm(weights.unsqueeze(1), down.transpose(0, 1)).squeeze(1)
