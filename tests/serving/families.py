"""Tiny models of every family that the engines must serve, with weights made here."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers

DEMO = str(Path(__file__).parents[2] / "python" / "npu_torch" / "demo" / "model")

PROMPTS = [
    "def main():",
    "import os",
    "class Stack:\n    def __init__(self):\n        self.items = []\n\n    def push(self, item):\n"
    "        self.items.append(item)\n\n    def pop(self):\n        # the last one comes first\n",
    "x",
    "for i in range(10):",
    "The quick brown fox jumps over the lazy dog, and then",
    "return None",
    "while True:\n    pass\n",
]

SIZES = {
    "vocab_size": 4096,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}
WINDOW = {"sliding_window": 24}  # shorter than the longest prompt
GEMMA = {**WINDOW, "query_pre_attn_scalar": 16}
MOE = {"num_experts_per_tok": 2}

# Model class, configuration class, and what its configuration has of its own.
FAMILIES = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", {}),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", {}),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", {}),
    "mistral": ("MistralForCausalLM", "MistralConfig", WINDOW),
    "gemma2": ("Gemma2ForCausalLM", "Gemma2Config", {**GEMMA, "tie_word_embeddings": True}),
    "gemma3": ("Gemma3ForCausalLM", "Gemma3TextConfig", {**GEMMA, "num_hidden_layers": 7}),
    "phi3": ("Phi3ForCausalLM", "Phi3Config", {"head_dim": None}),
    "mixtral": ("MixtralForCausalLM", "MixtralConfig", {**MOE, "num_local_experts": 4}),
    "qwen3_moe": (
        "Qwen3MoeForCausalLM",
        "Qwen3MoeConfig",
        {**MOE, "num_experts": 8, "moe_intermediate_size": 48, "norm_topk_prob": True},
    ),
}


def random_model(family: str, **changes):
    """A float32 model whose logits are spread out, the same at each call."""
    model_class, config_class, own = FAMILIES[family]
    sizes = {k: v for k, v in {**SIZES, **own}.items() if v is not None} | changes
    model = getattr(transformers, model_class)(getattr(transformers, config_class)(**sizes))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                spread = 0.5 if "embed" in name else parameter.shape[-1] ** -0.5
                parameter.normal_(0, spread, generator=generator)
            elif "norm" in name:
                noise = torch.empty_like(parameter).normal_(0, 0.2, generator=generator)
                parameter.add_(noise)
    return model.float().eval()


def saved(model, folder) -> str:
    """Save a model with the shipped tokenizer; returns the folder."""
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(DEMO).save_pretrained(folder)
    return str(folder)
