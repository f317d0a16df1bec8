#include "csrc/sdk/kernels/attention_combine.h"

#include <algorithm>

#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/key_shares.h"
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
  DType lengths = DType::i32;
  bool natural = false;  // powers of e
  KeySharesForm shares;
  bool by_sequence = false;  // see build()
  int64_t value_dim = 0;
  int64_t rows = 0;   // of a tile
  int64_t parts = 0;  // at most
  int buffers = 2;    // of a part's results

  std::array<int64_t, 6> key() const {
    return {static_cast<int64_t>(compute) | static_cast<int64_t>(out) << 8 |
                static_cast<int64_t>(starts) << 16 | static_cast<int64_t>(lengths) << 24 |
                static_cast<int64_t>(natural) << 32 | static_cast<int64_t>(shares.bounded) << 40 |
                static_cast<int64_t>(by_sequence) << 41 | shares.only_lot << 48,
            value_dim, rows, parts | int64_t{buffers} << 32};
  }
};

// A program takes some heads of one sequence, if that is shared: by its number where sequences are
// few, else the one that the parts on either side of a boundary share, if that is the first
// boundary within it.
sim::Program build(const sim::Machine& machine, const Variant& v) {
  Builder b(std::string(kKernel), machine);
  const Pointer out = b.pointer("out");
  const Pointer partials = b.pointer("partials");
  const SequenceTable starts(b, "starts", v.starts);
  const SequenceTable lengths(b, "lengths", v.lengths);
  const Value sequences = b.integer("sequences");
  const KeyShares shares(b, lengths, sequences, v.shares);
  const Value value_dim = b.integer("value_dim");
  const Value most_tokens = b.integer("most_tokens");
  const Value all_heads = b.integer("heads");
  const Value heads_each = b.integer("heads_each");
  const Value tokens_each = b.integer("tokens_each");
  const Value out_token = b.integer("out_token_stride");
  const Value out_head = b.integer("out_head_stride");
  const Tile offsets = b.tile("offsets", v.compute, v.rows * v.parts, 2);
  const Tile totals = b.tile("totals", v.compute, v.rows * v.parts, 2);
  const Tile factors = b.tile("factors", v.compute, v.rows * v.parts);
  const Tile weights = b.tile("weights", v.compute, v.rows * v.parts);
  const Tile peak = b.tile("peak", v.compute, v.rows);
  const Tile sum_of_weights = b.tile("sum_of_weights", v.compute, v.rows);
  const Tile factor = b.tile("factor", v.compute, v.rows);
  const Tile part = b.tile("part", v.compute, v.rows * v.value_dim, v.buffers);
  const Tile sum = b.tile("sum", v.compute, v.rows * v.value_dim);
  const Tile result = b.tile("result", v.out, v.rows * v.value_dim, 2);

  const Value chunks = b.ceil_div(all_heads, heads_each);
  const Value number = b.pid() / chunks;
  Value sequence = number;
  Value before = 0;
  Value keys = 0;
  Value first_token = 0;
  Value end_token = 0;
  const auto load_sequence = [&] {
    keys = lengths.load(sequence);
    first_token = starts.load(sequence);
    end_token = starts.load(sequence + 1);
  };
  if (v.by_sequence) load_sequence();
  const KeyShares::Total total = shares.count();
  if (v.by_sequence) {
    before = shares.before(sequence, total);
  } else {
    const Value unit = shares.begin(number + 1, total);
    b.if_(unit == total.units, [&] { b.exit(); });
    const KeyShares::Place place = shares.find(unit, total);
    sequence = place.sequence;
    before = place.before;
    b.if_((before == unit) | (shares.part_of(before, total) != number), [&] { b.exit(); });
    load_sequence();
  }
  const Value first_part = shares.part_of(before, total);
  const Value last_part = shares.part_of(before + shares.units(keys) - 1, total);
  const Value count = last_part - first_part + 1;
  if (v.by_sequence) b.if_(count == 1, [&] { b.exit(); });
  const Value place = first_part + sequence;

  const Value head = b.pid() % chunks * heads_each;
  const Value heads = b.min(heads_each, all_heads - head);
  const Value rows_of_place = most_tokens * all_heads;
  const Value statistics = (shares.parts() + sequences) * rows_of_place;
  const Value token_count = b.min(end_token - first_token, most_tokens);
  b.loop(b.ceil_div(token_count, tokens_each), [&](const Value& turn) {
    const Value token = turn * tokens_each;
    const Value tokens = b.min(tokens_each, token_count - token);
    const Value row = place * rows_of_place + token * all_heads + head;
    const auto load_statistic = [&](const Tile& tile, const Value& offset) {
      b.load(tile, partials, statistics * offset + row,
             Region({{tokens, all_heads}, {heads, 1}}, {{count, rows_of_place}}));
    };
    load_statistic(offsets, value_dim);
    load_statistic(totals, value_dim + 1);

    // An offset is the negative of a part's highest score.
    b.reduce(ReduceFn::min, peak, offsets);
    b.vector(BinaryFn::sub, factors, peak, offsets);
    b.vector(v.natural ? UnaryFn::exp : UnaryFn::exp2, factors, factors);
    b.vector(BinaryFn::mul, weights, factors, totals);
    b.reduce(ReduceFn::sum, sum_of_weights, weights);
    // A row that saw nothing has a sum of 0.
    b.vector(TernaryFn::where, sum_of_weights, sum_of_weights, sum_of_weights, 1.0);
    b.vector(UnaryFn::recip, sum_of_weights, sum_of_weights);
    b.fill(sum, 0.0, tokens * heads, value_dim);
    b.loop(count, [&](const Value& number) {
      b.load(part, partials, (row + number * rows_of_place) * value_dim,
             Region({{tokens, all_heads * value_dim}, {heads, value_dim}}, {{value_dim, 1}}));
      b.slice(factor, factors, 0, number, tokens * heads, 1);
      b.vector(TernaryFn::fma, sum, part, factor, sum);
    });
    b.vector(BinaryFn::mul, result, sum, sum_of_weights);
    b.store(out, (first_token + token) * out_token + head * out_head,
            Region({{tokens, out_token}, {heads, out_head}}, {{value_dim, 1}}), result);
  });
  return b.finish();
}

// By the tiles of build(): none where not even one row fits.
int64_t rows_that_fit(const sim::Machine& machine, const Variant& v) {
  const int64_t compute = sim::size_of(v.compute);
  const int64_t bytes = (6 * v.parts + 3) * compute +
                        v.value_dim * ((v.buffers + 1) * compute + 2 * sim::size_of(v.out));
  constexpr int64_t kAlignment = 64 * 32;
  return (machine.scratchpad_bytes() - kAlignment) / bytes;
}

// Partial results are few and small, and waiting for the memory is most of the time: as many are on
// their way at once as a queue holds, if they fit.
void choose_capacities(const sim::Machine& machine, Variant& v) {
  constexpr int64_t kMostRows = 128;
  const auto most = std::max<int64_t>(machine.core.queue_depth, 2);
  v.buffers = static_cast<int>(std::clamp<int64_t>(v.parts, 2, most));
  while (v.buffers > 2 && rows_that_fit(machine, v) < 1) --v.buffers;
  v.rows = std::clamp<int64_t>(rows_that_fit(machine, v), 1, kMostRows);
}

}  // namespace

npuStatus combine_attention(const sim::Machine& machine, const AttentionCall& call,
                            const Tensor& starts, const Tensor& lengths, npuStream stream) {
  Variant v{.compute = call.form.compute(),
            .out = call.form.out,
            .starts = static_cast<DType>(starts.dtype),
            .lengths = static_cast<DType>(lengths.dtype),
            .natural = call.form.natural,
            .shares = call.form.key_shares(),
            .value_dim = call.form.value_dim,
            .parts = call.parts};
  const int64_t boundaries = call.parts - 1;
  v.by_sequence = call.form.only_lot > 0 && call.sequences < boundaries;
  const int64_t numbers = v.by_sequence ? call.sequences : boundaries;
  choose_capacities(machine, v);
  npuKernel kernel = nullptr;
  NPU_RETURN_IF_ERROR(sdk::cached_kernel(
      stream, {kKernel, v.key()}, [&v](const sim::Machine& m) { return build(m, v); }, &kernel));

  // Few programs: each reads all lengths before it knows what to do.
  const int64_t heads = call.q.heads();
  const int64_t fair = ceil_div(heads, std::max(machine.core.count / numbers, int64_t{1}));
  const int64_t heads_each = even_part(heads, std::min(fair, v.rows));
  const int64_t tokens_each = std::max(v.rows / heads_each, int64_t{1});
  Arguments args;
  args.pointer(call.out.tensor->data);
  args.pointer(call.partials);
  pass_sequence_table(args, starts);
  pass_sequence_table(args, lengths);
  args.integer(call.sequences);
  KeyShares::pass(args, call.parts, call.least_units, call.most_keys());
  args.integer(call.out.dim());
  args.integer(call.query_len);
  args.integer(heads);
  args.integer(heads_each);
  args.integer(tokens_each);
  args.integer(call.out.token_stride());
  args.integer(call.out.head_stride());
  return launch(kernel, numbers * ceil_div(heads, heads_each), args, stream);
}

sim::Program library_combine_attention(const sim::Machine& machine) {
  Variant v{.compute = DType::f32, .out = DType::bf16, .shares = {}, .value_dim = 128, .parts = 16};
  choose_capacities(machine, v);
  return build(machine, v);
}

}  // namespace npu::kernels
