// Paged attention: a sequence's keys and values lie in blocks of a cache, which its row of the
// block table names. The DMA gathers them key by key, or for decode programs so many keys of a
// block at a time as divide the block, so any block size and any strides will do.
#include "csrc/sdk/kernels/paged_attention.h"

#include <optional>

#include "csrc/sdk/kernels/attention_combine.h"
#include "csrc/sdk/kernels/attention_program.h"
#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/decode_division.h"
#include "csrc/sdk/kernels/iteration.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/paged_cache.h"
#include "csrc/sdk/kernels/sequence_table.h"
#include "csrc/sdk/kernels/workspace.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::kernels {
namespace {

constexpr std::string_view kKernel = "paged_attention";

struct Variant {
  AttentionForm form;
  DType blocks = DType::i32;   // of the block table
  DType starts = DType::i32;   // of cu_seqlens_q
  DType lengths = DType::i32;  // of kv_lens
  // Keys and values have the same strides, so that one list of elements serves both.
  bool same_strides = true;

  int64_t key() const {
    return static_cast<int64_t>(blocks) << 24 | static_cast<int64_t>(starts) << 16 |
           static_cast<int64_t>(lengths) << 8 | static_cast<int64_t>(same_strides);
  }
};

// Where keys of the sequence lie, as granules from the cache's pointer.
class KeyIndex {
 public:
  KeyIndex(sdk::Builder& builder, const Variant& variant)
      : b_(builder),
        run_(variant.form.run),
        table_(builder.pointer("block_table")),
        block_size_(builder.integer("block_size")),
        row_(builder.integer("table_row_stride")),
        column_(builder.integer("table_column_stride")) {
    const int64_t keys = variant.form.keys;
    blocks_ = b_.tile("blocks", variant.blocks, keys + 1, variant.form.buffers);
    block_ = b_.tile("block", DType::i64, keys);
    slot_ = b_.tile("slot", DType::i64, keys);
    place_ = b_.tile("place", DType::i64, keys);
    page_ = b_.tile("page", variant.blocks, keys);
  }

  // The part of the block table that look_up() of these keys needs.
  void load(const Value& sequence, const Value& first, const Value& count) {
    const Value first_block = first / block_size_;
    const Value blocks = (first + count - 1) / block_size_ - first_block + 1;
    b_.load(blocks_, table_, sequence * row_ + first_block * column_, {{blocks, column_}});
  }

  // Blocks and slots of the keys, or of the first keys of runs.
  void look_up(const Value& first, const Value& count) {
    const Value first_block = first / block_size_;
    b_.iota(place_, first, run_, 0, 1, b_.ceil_div(count, run_));
    b_.vector(BinaryFn::floordiv, block_, place_, block_size_);
    b_.vector(BinaryFn::mul, slot_, block_, block_size_);
    b_.vector(BinaryFn::sub, slot_, place_, slot_);
    b_.vector(BinaryFn::sub, block_, block_, first_block);
    b_.gather_columns(page_, blocks_, block_);
  }

  void locate(const Tile& index, const PagedCache& cache) {
    cache.locate(index, page_, slot_, place_);
  }

 private:
  sdk::Builder& b_;
  int64_t run_;  // keys from one index to the next
  Pointer table_;
  Value block_size_;
  Value row_;
  Value column_;
  Tile blocks_, block_, slot_, place_, page_;
};

sim::Program build(const sim::Machine& machine, const Variant& variant) {
  AttentionProgram program(std::string(kKernel), machine, variant.form);
  sdk::Builder& b = program.builder();
  const SequenceTable starts(b, "cu_seqlens_q", variant.starts);
  const SequenceTable lengths(b, "kv_lens", variant.lengths);
  const PagedCache key_cache(b, "k");
  const PagedCache value_cache(b, "v");
  KeyIndex index(b, variant);
  const int buffers = variant.form.buffers;
  const Tile key_index = b.tile("key_index", DType::i64, variant.form.keys, buffers);
  const Tile value_index = variant.same_strides
                               ? key_index
                               : b.tile("value_index", DType::i64, variant.form.keys, buffers);

  const auto locate = [&](const Value& first, const Value& count) {
    index.look_up(first, count);
    index.locate(key_index, key_cache);
    if (!variant.same_strides) index.locate(value_index, value_cache);
  };
  if (variant.form.decode) {
    const AttentionForm& form = variant.form;
    const Value heads = form.side_by_side ? form.kv_heads : 1;
    const auto fetch = [&](const Tile& tile, Pointer memory, const Tile& where, const Value& head,
                           const PagedCache& cache, const Value& width) {
      std::vector<Dim> run = {{width * heads, 1}};
      if (form.run > 1) run.insert(run.begin(), {form.run, cache.slot_stride()});
      b.gather(tile, memory, head * cache.head_stride(), where, cache.granule(), run);
    };
    const auto load = [&](const Tile& keys, const Tile& values, const Value& head) {
      const Value& dim = program.head_dim();
      fetch(keys, program.k(), key_index, head, key_cache,
            form.pairs ? dim + program.value_dim() : dim);
      if (form.pairs) return;
      fetch(values, program.v(), value_index, head, value_cache, program.value_dim());
    };
    const auto load_table = [&](const Value& sequence, const Value& first, const Value& count) {
      index.load(sequence, first, count);
    };
    return program.write_decode({starts, lengths, load_table, locate, load});
  }
  const Value& number = program.sequence();
  const Value begin = starts.load(number);
  const Value end = starts.load(number + 1);
  const Value key_len = lengths.load(number);
  const AttentionProgram::Sequence sequence = {end - begin, key_len,
                                               begin * program.query_token_stride(),
                                               begin * program.out_token_stride()};
  const Value key_offset = program.kv_head() * key_cache.head_stride();
  const Value value_offset = program.kv_head() * value_cache.head_stride();
  const auto load_keys = [&](const Tile& tile, const Value& first, const Value& count) {
    b.if_(first == program.keys_begin(), [&] { index.load(number, first, count); });
    index.look_up(first, count);
    // The next range's blocks are there by the time that its keys are asked for.
    const Value next = first + count;
    const Value left = b.min(program.keys_each(), program.keys_end() - next);
    b.if_(Value(0) < left, [&] { index.load(number, next, left); });
    index.locate(key_index, key_cache);
    if (!variant.same_strides) index.locate(value_index, value_cache);
    b.gather(tile, program.k(), key_offset, key_index, key_cache.granule(),
             {{program.head_dim(), 1}});
  };
  const auto load_values = [&](const Tile& tile, const Value&, const Value&) {
    b.gather(tile, program.v(), value_offset, value_index, value_cache.granule(),
             {{program.value_dim(), 1}});
  };
  return program.write(sequence, load_keys, load_values);
}

npuStatus check_cache(const Tensor& k_cache, const Tensor& v_cache) {
  if (k_cache.rank != 4 || v_cache.rank != 4) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: caches of rank {} and {}; both must be 4",
                      kKernel, k_cache.rank, v_cache.rank);
  }
  for (int d = 0; d < 3; ++d) {
    if (k_cache.sizes[d] == v_cache.sizes[d] && (d != 1 || k_cache.sizes[d] > 0)) continue;
    return sdk::failf(NPU_ERROR_INVALID_VALUE,
                      "{}: dimension {} is {} in k_cache and {} in v_cache", kKernel, d,
                      k_cache.sizes[d], v_cache.sizes[d]);
  }
  return NPU_SUCCESS;
}

}  // namespace

npuStatus check_paged(const PagedOperands& t, int64_t max_query_len,
                      const AttentionOptions& options, AttentionCall* call) {
  NPU_RETURN_IF_ERROR(check_packed(kKernel, t.out, t.q, max_query_len));
  NPU_RETURN_IF_ERROR(check_cache(t.k_cache, t.v_cache));
  NPU_RETURN_IF_ERROR(check_sequence_table(kKernel, "cu_seqlens_q", t.cu_seqlens_q));
  NPU_RETURN_IF_ERROR(check_sequence_table(kKernel, "kv_lens", t.kv_lens));
  const int64_t sequences = t.kv_lens.sizes[0];
  if (t.cu_seqlens_q.sizes[0] != sequences + 1) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE,
                      "{}: cu_seqlens_q has {} elements, expected are {}: one more than kv_lens",
                      kKernel, t.cu_seqlens_q.sizes[0], sequences + 1);
  }
  if (t.block_table.rank != 2 || t.block_table.sizes[0] != sequences ||
      !is_index_type(t.block_table.dtype)) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE,
                      "{}: block_table of rank {}, {} rows and dtype code {}; expected are 2, {} "
                      "and i32 or i64",
                      kKernel, t.block_table.rank, t.block_table.sizes[0],
                      static_cast<int>(t.block_table.dtype), sequences);
  }
  *call = packed_call(kKernel, t.out, t.q, options, sequences, max_query_len);
  call->k = {&t.k_cache, 1, 2};
  call->v = {&t.v_cache, 1, 2};
  call->key_len = t.block_table.sizes[1] * t.k_cache.sizes[1];
  call->form.paged = true;
  return check_attention(*call);
}

npuStatus launch_paged(const sim::Machine& machine, AttentionCall call, const PagedOperands& t,
                       npuStream stream) {
  const auto type = [](const Tensor& tensor) { return static_cast<DType>(tensor.dtype); };
  Variant variant{
      call.form, type(t.block_table), type(t.cu_seqlens_q), type(t.kv_lens),
      t.k_cache.strides[0] == t.v_cache.strides[0] && t.k_cache.strides[1] == t.v_cache.strides[1]};
  const auto key = call.form.key();
  npuKernel kernel = nullptr;
  NPU_RETURN_IF_ERROR(sdk::cached_kernel(
      stream, {kKernel, {key[0], key[1], key[2], key[3], key[4], variant.key()}},
      [&variant](const sim::Machine& m) { return build(m, variant); }, &kernel));

  Workspace workspace(stream);
  if (call.form.shares) {
    NPU_RETURN_IF_ERROR(workspace.allocate(call.partial_bytes(call.parts)));
    call.partials = workspace.data();
  }
  Arguments args;
  pass_attention(args, call, {}, {});
  pass_sequence_table(args, t.cu_seqlens_q);
  pass_sequence_table(args, t.kv_lens);
  pass_paged_cache(args, t.k_cache);
  pass_paged_cache(args, t.v_cache);
  args.pointer(t.block_table.data);
  args.integer(t.k_cache.sizes[1]);
  args.integer(t.block_table.strides[0]);
  args.integer(t.block_table.strides[1]);
  if (call.form.decode) pass_decode(args, call);
  NPU_RETURN_IF_ERROR(launch(kernel, call.grid(), args, stream));
  return call.form.shares ? combine_attention(machine, call, t.cu_seqlens_q, t.kv_lens, stream)
                          : NPU_SUCCESS;
}

npuStatus paged_attention(const Tensor& out, const Tensor& q, const Tensor& k_cache,
                          const Tensor& v_cache, const Tensor& block_table,
                          const Tensor& cu_seqlens_q, const Tensor& kv_lens, int64_t max_query_len,
                          const AttentionOptions& options, npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    const PagedOperands operands = {out, q, k_cache, v_cache, block_table, cu_seqlens_q, kv_lens};
    AttentionCall call;
    NPU_RETURN_IF_ERROR(check_paged(operands, max_query_len, options, &call));
    const sim::Machine* machine = sdk::machine_of(stream);
    if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
    if (out.numel() == 0 || call.sequences == 0 || max_query_len == 0) return NPU_SUCCESS;
    NPU_RETURN_IF_ERROR(plan_attention(*machine, call));
    divide_decode(*machine, call);
    return launch_paged(*machine, call, operands, stream);
  });
}

sim::Program library_paged_attention(const sim::Machine& machine) {
  Variant variant;
  variant.form = representative_attention(machine, true);
  return build(machine, variant);
}

}  // namespace npu::kernels
