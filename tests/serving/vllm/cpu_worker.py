"""Worker and attention of the platform in cpu_platform.py."""

from __future__ import annotations

import contextlib
import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor
from vllm.utils.torch_utils import set_random_seed
from vllm.v1.attention.backend import (
    AttentionBackend,
    AttentionImpl,
    AttentionMetadataBuilder,
    MultipleOf,
)
from vllm.v1.attention.backends.registry import AttentionBackendEnum, register_backend
from vllm.v1.kv_cache_interface import KVCacheLayout
from vllm.v1.worker.cpu_model_runner import CPUModelRunner
from vllm.v1.worker.gpu_worker import Worker, init_worker_distributed_environment
from vllm.v1.worker.worker_base import CompilationTimes


@dataclasses.dataclass
class Metadata:
    """One step: tokens of each request's query and cache, and where the cache lies."""

    queries: list[int]
    lengths: list[int]
    block_table: Tensor  # [requests, blocks]
    slots: Tensor  # [tokens]
    decode_mask: Tensor | None  # [requests, longest] if each query is one token


class MetadataBuilder(AttentionMetadataBuilder[Metadata]):
    def __init__(self, *args):
        super().__init__(*args)

    def build(self, common_prefix_len, common_attn_metadata, fast_build=False):
        m = common_attn_metadata
        lengths = m.seq_lens
        blocks = -(-int(lengths.max()) // self.kv_cache_spec.block_size)
        mask = None
        if m.max_query_len == 1:
            mask = torch.arange(blocks * self.kv_cache_spec.block_size) < lengths.unsqueeze(1)
        queries = m.query_start_loc.diff().tolist()
        table = m.block_table_tensor[:, :blocks].long()
        return Metadata(queries, lengths.tolist(), table, m.slot_mapping, mask)


class Impl(AttentionImpl[Metadata]):
    """Causal attention over gathered pages: all requests at once when each has one token."""

    def __init__(self, num_heads, head_size, scale, num_kv_heads=None, *args, **options):
        self.num_heads, self.head_size, self.scale = num_heads, head_size, scale
        self.num_kv_heads = num_kv_heads or num_heads
        self.kv_sharing_target_layer_name = None

    def do_kv_cache_update(self, layer, key, value, kv_cache, slot_mapping):
        size = kv_cache.shape[2]
        count = slot_mapping.shape[0]
        page, offset = slot_mapping // size, slot_mapping % size
        kv_cache.transpose(1, 2)[page, offset] = torch.cat((key[:count], value[:count]), -1)

    def forward(
        self,
        layer,
        query,
        key,
        value,
        kv_cache,
        attn_metadata,
        output,
        output_scale=None,
        output_block_scale=None,
    ):
        m = attn_metadata
        if m is None:
            return output.zero_()
        attend = F.scaled_dot_product_attention
        options = {"scale": self.scale, "enable_gqa": self.num_heads != self.num_kv_heads}
        count = sum(m.queries)
        out = output[:count].view(count, self.num_heads, self.head_size)
        if m.decode_mask is not None:
            pages = kv_cache[m.block_table].transpose(1, 2).flatten(2, 3)
            keys, values = pages.split(self.head_size, -1)
            mask = m.decode_mask[:, None, None]
            q = query[:count].unsqueeze(2)
            out.copy_(attend(q, keys, values, attn_mask=mask, **options).squeeze(2))
            return output
        start = 0
        for i, (tokens, length) in enumerate(zip(m.queries, m.lengths, strict=True)):
            pages = kv_cache[m.block_table[i]].transpose(0, 1).flatten(1, 2)[:, :length]
            keys, values = pages.split(self.head_size, -1)
            mask = torch.ones(tokens, length, dtype=torch.bool).tril(length - tokens)
            q = query[start : start + tokens].transpose(0, 1)
            result = attend(q[None], keys[None], values[None], attn_mask=mask, **options)
            out[start : start + tokens] = result[0].transpose(0, 1)
            start += tokens
        return output


@register_backend(AttentionBackendEnum.CUSTOM)
class Backend(AttentionBackend):
    supported_dtypes = [torch.float32]
    forward_includes_kv_cache_update = False

    @staticmethod
    def get_name():
        return "CUSTOM"

    @staticmethod
    def get_impl_cls():
        return Impl

    @staticmethod
    def get_builder_cls():
        return MetadataBuilder

    @staticmethod
    def get_supported_kernel_block_sizes(kv_cache_spec=None):
        return [MultipleOf(16)]

    @classmethod
    def supported_kv_cache_layouts(cls):
        return (KVCacheLayout.LBHNC,)


class CpuWorker(Worker):
    def init_device(self):
        self.device = torch.device("cpu")
        init_worker_distributed_environment(
            self.vllm_config, self.rank, self.distributed_init_method, self.local_rank, "gloo"
        )
        set_random_seed(self.model_config.seed)
        self._init_workspace_and_model_runner()

    def _make_model_runner(self):
        return CPUModelRunner(self.vllm_config, self.device)

    def _maybe_get_memory_pool_context(self, tag):
        return contextlib.nullcontext()

    def determine_available_memory(self):
        return 256 << 20

    def compile_or_warm_up_model(self):
        return CompilationTimes(language_model=0.0, encoder=0.0)
