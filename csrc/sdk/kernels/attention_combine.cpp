#include "csrc/sdk/kernels/attention_combine.h"

#include <algorithm>

#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/sequence_table.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::kernels {
namespace {

constexpr std::string_view kKernel = "combine_attention";

struct Variant {
  DType compute = DType::f32;
  DType out = DType::f32;
  DType starts = DType::i32;
  bool natural = false;  // powers of e
  int64_t value_dim = 0;
  int64_t rows = 0;    // of a tile
  int64_t splits = 0;  // at most

  std::array<int64_t, 6> key() const {
    return {static_cast<int64_t>(compute) | static_cast<int64_t>(out) << 8 |
                static_cast<int64_t>(starts) << 16 | static_cast<int64_t>(natural) << 24,
            value_dim, rows, splits};
  }
};

sim::Program build(const sim::Machine& machine, const Variant& v) {
  Builder b(std::string(kKernel), machine);
  const Pointer out = b.pointer("out");
  const Pointer partials = b.pointer("partials");
  const SequenceTable starts(b, "starts", v.starts);
  const Value sequences = b.integer("sequences");
  const Value splits = b.integer("splits");
  const Value value_dim = b.integer("value_dim");
  const Value all_rows = b.integer("rows");
  const Value all_heads = b.integer("heads");
  const Value heads_each = b.integer("heads_each");
  const Value tokens_each = b.integer("tokens_each");
  const Value out_token = b.integer("out_token_stride");
  const Value out_head = b.integer("out_head_stride");
  const Tile offsets = b.tile("offsets", v.compute, v.rows * v.splits);
  const Tile totals = b.tile("totals", v.compute, v.rows * v.splits);
  const Tile factors = b.tile("factors", v.compute, v.rows * v.splits);
  const Tile parts = b.tile("parts", v.compute, v.rows * v.splits);
  const Tile peak = b.tile("peak", v.compute, v.rows);
  const Tile total = b.tile("total", v.compute, v.rows);
  const Tile factor = b.tile("factor", v.compute, v.rows);
  const Tile seen = b.tile("seen", v.compute, v.rows);
  const Tile part = b.tile("part", v.compute, v.rows * v.value_dim, load_buffers(machine));
  const Tile kept = b.tile("kept", v.compute, v.rows * v.value_dim);
  const Tile sum = b.tile("sum", v.compute, v.rows * v.value_dim);
  const Tile result = b.tile("result", v.out, v.rows * v.value_dim, 2);

  const Value chunks = b.ceil_div(all_heads, heads_each);
  const Value token = b.pid() / chunks * tokens_each;
  const Value head = b.pid() % chunks * heads_each;
  const Value heads = b.min(heads_each, all_heads - head);
  const Value tokens = b.min(tokens_each, starts.load(sequences) - token);
  b.if_(tokens <= 0, [&] { b.exit(); });
  const Value rows = tokens * heads;
  const Value row = token * all_heads + head;
  const Value statistics = splits * all_rows;
  const auto load_statistic = [&](const Tile& tile, const Value& place) {
    b.load(tile, partials, statistics * place + row,
           Region({{tokens, all_heads}, {heads, 1}}, {{splits, all_rows}}));
  };
  load_statistic(offsets, value_dim);
  load_statistic(totals, value_dim + 1);

  // An offset is the negative of a split's highest score.
  b.reduce(ReduceFn::min, peak, offsets);
  b.vector(BinaryFn::sub, factors, peak, offsets);
  b.vector(v.natural ? UnaryFn::exp : UnaryFn::exp2, factors, factors);
  b.vector(BinaryFn::mul, parts, factors, totals);
  b.reduce(ReduceFn::sum, total, parts);
  // A row that saw nothing has a total of 0.
  b.vector(TernaryFn::where, total, total, total, 1.0);
  b.vector(UnaryFn::recip, total, total);
  b.fill(sum, 0.0, rows, value_dim);
  b.loop(splits, [&](const Value& split) {
    b.load(part, partials, (split * all_rows + row) * value_dim,
           Region({{tokens, all_heads * value_dim}, {heads, value_dim}}, {{value_dim, 1}}));
    // What a split without keys would have written is not there.
    b.slice(seen, totals, 0, split, rows, 1);
    b.vector(TernaryFn::where, kept, seen, part, 0.0);
    b.slice(factor, factors, 0, split, rows, 1);
    b.vector(TernaryFn::fma, sum, kept, factor, sum);
  });
  b.vector(BinaryFn::mul, result, sum, total);
  b.store(out, token * out_token + head * out_head,
          Region({{tokens, out_token}, {heads, out_head}}, {{value_dim, 1}}), result);
  return b.finish();
}

// By the tiles of build().
int64_t rows_that_fit(const sim::Machine& machine, const Variant& v) {
  const int64_t compute = sim::size_of(v.compute);
  const int64_t bytes =
      4 * (v.splits + 1) * compute +
      v.value_dim * ((load_buffers(machine) + 2) * compute + 2 * sim::size_of(v.out));
  constexpr int64_t kAlignment = 64 * 32;
  return std::max((machine.scratchpad_bytes() - kAlignment) / bytes, int64_t{1});
}

}  // namespace

npuStatus combine_attention(const sim::Machine& machine, const AttentionCall& call,
                            const Tensor& starts, npuStream stream) {
  Variant v{.compute = call.form.compute(),
            .out = call.form.out,
            .starts = static_cast<DType>(starts.dtype),
            .natural = call.form.natural,
            .value_dim = call.form.value_dim,
            .splits = call.splits};
  constexpr int64_t kMostRows = 128;
  v.rows = std::min(rows_that_fit(machine, v), kMostRows);
  npuKernel kernel = nullptr;
  NPU_RETURN_IF_ERROR(sdk::cached_kernel(
      stream, {kKernel, v.key()}, [&v](const sim::Machine& m) { return build(m, v); }, &kernel));

  const int64_t tokens = call.q.tensor->sizes[0];
  const int64_t heads = call.q.heads();
  const int64_t fair = std::min(ceil_div(tokens * heads, machine.core.count), v.rows);
  const int64_t heads_each = even_part(heads, std::min(fair, heads));
  const int64_t tokens_each = std::max(fair / heads_each, int64_t{1});
  Arguments args;
  args.pointer(call.out.tensor->data);
  args.pointer(call.partials);
  pass_sequence_table(args, starts);
  args.integer(call.sequences);
  args.integer(call.splits);
  args.integer(call.out.dim());
  args.integer(call.rows());
  args.integer(heads);
  args.integer(heads_each);
  args.integer(tokens_each);
  args.integer(call.out.token_stride());
  args.integer(call.out.head_stride());
  return launch(kernel, ceil_div(tokens, tokens_each) * ceil_div(heads, heads_each), args, stream);
}

sim::Program library_combine_attention(const sim::Machine& machine) {
  Variant v{.compute = DType::f32, .out = DType::bf16, .value_dim = 128, .splits = 16};
  v.rows = std::min(rows_that_fit(machine, v), int64_t{16});
  return build(machine, v);
}

}  // namespace npu::kernels
