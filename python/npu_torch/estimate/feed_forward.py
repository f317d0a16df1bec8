"""Feed-forward layers: a gated one, or a mixture of such.

They launch what `npu_torch.integrations.vllm` does, in its order.
"""

from __future__ import annotations

from array import array

from npu_torch.estimate.models import Model
from npu_torch.estimate.tensors import Estimator, Tensor, linear_weight


class _Gated:
    """One gated layer for all tokens."""

    def __init__(self, e: Estimator, model: Model, tokens: int, dtype: str) -> None:
        """What layers hand on."""
        self.e, self.model, self.dtype = e, model, dtype
        self.gate_up = e.empty(dtype, [tokens, 2 * model.intermediate])
        self.gated = e.empty(dtype, [tokens, model.intermediate])

    def weights(self) -> list[Tensor]:
        """Of a layer."""
        m = self.model
        sizes = ((m.hidden, 2 * m.intermediate), (m.intermediate, m.hidden))
        return [linear_weight(self.e, self.dtype, *each) for each in sizes]

    def launch(self, hidden: Tensor, weights: list[Tensor]) -> None:
        """hidden [tokens, hidden] is replaced by the layer's output."""
        e = self.e
        gate_up, down = weights
        e.step("gate_up_proj")
        e.matmul(self.gate_up, hidden, gate_up)
        e.step("activation")
        e.silu_and_mul(self.gated, self.gate_up)
        e.step("down_proj")
        e.matmul(hidden, self.gated, down)


class _Experts:
    """A router and experts, of which each has as many tokens as the others, give or take one."""

    def __init__(self, e: Estimator, model: Model, tokens: int, dtype: str) -> None:
        """What layers hand on; all choose alike."""
        self.e, self.model, self.tokens, self.dtype = e, model, tokens, dtype
        count, chosen, hidden = model.experts, model.experts_per_token, model.hidden
        copies = tokens * chosen
        self.router_logits = e.empty(dtype, [tokens, count])
        self.logits = e.empty("f32", [tokens, count])
        self.values, self.router_weights = (e.empty("f32", [tokens, chosen]) for _ in range(2))
        self.ids = e.empty("i64", [tokens, chosen])
        self.by_token = self.ids.as_strided([copies], [1], 0)
        self.by_expert, self.order = (e.empty("i64", [copies]) for _ in range(2))
        self.experts, self.found = (e.empty("i64", [count]) for _ in range(2))
        ends = array("i", (copies * (expert + 1) // count for expert in range(count)))
        self.ends = e.integers(ends, [count])
        self.scale = self.router_weights.as_strided([copies], [1], 0)
        self.gate_up = e.empty(dtype, [copies, 2 * model.intermediate])
        self.gated = e.empty(dtype, [copies, model.intermediate])
        self.down = e.empty(dtype, [copies, hidden])
        self.by_choice = self.down.as_strided(
            [tokens, chosen, hidden], [chosen * hidden, hidden, 1], 0
        )

    def weights(self) -> list[Tensor]:
        """Of a layer: the router's, and the experts' as [experts, inputs, outputs] operands."""
        m = self.model

        def stacked(inputs: int, outputs: int) -> Tensor:
            weight = self.e.empty(self.dtype, [m.experts, outputs, inputs])
            return weight.as_strided([m.experts, inputs, outputs], [inputs * outputs, 1, inputs], 0)

        return [
            linear_weight(self.e, self.dtype, m.hidden, m.experts),
            stacked(m.hidden, 2 * m.intermediate),
            stacked(m.intermediate, m.hidden),
        ]

    def launch(self, hidden: Tensor, weights: list[Tensor]) -> None:
        """hidden [tokens, hidden] is replaced by the layer's output."""
        e = self.e
        router, gate_up, down = weights
        e.step("router")
        e.matmul(self.router_logits, hidden, router)
        e.copy(self.logits, self.router_logits)
        e.topk(self.values, self.ids, self.logits, 1)
        e.softmax(self.router_weights, self.values, 1)
        e.step("tokens_by_expert")
        e.sort(self.by_expert, self.order, self.by_token, 0)
        e.searchsorted(self.found, self.by_expert, self.experts)
        e.step("gate_up_proj")
        chosen = self.model.experts_per_token
        e.grouped_matmul(self.gate_up, hidden, gate_up, self.ends, self.order, chosen)
        e.step("activation")
        e.silu_and_mul(self.gated, self.gate_up)
        e.step("down_proj")
        e.grouped_matmul_back(self.down, self.gated, down, self.ends, self.order, self.scale)
        e.step("sum")
        size = self.model.hidden
        e.sum(hidden.as_strided([self.tokens, 1, size], [size, size, 1], 0), self.by_choice, 1)


def feed_forward(e: Estimator, model: Model, tokens: int, dtype: str) -> _Gated | _Experts:
    """The model's kind, for steps of so many tokens."""
    kind = _Experts if model.experts else _Gated
    return kind(e, model, tokens, dtype)
