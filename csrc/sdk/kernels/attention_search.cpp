#include "csrc/sdk/kernels/attention_search.h"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "csrc/sdk/kernels/flash_attention.h"
#include "csrc/sdk/runtime/choices.h"
#include "sim/timing/timer.h"

namespace npu::kernels {
namespace {

// What the timer compares: so many candidates, of so many tile instructions in all, which bounds
// the time of a search, and more of small calls; and those alone that the cost model finds no worse
// than this, times the best.
constexpr size_t kMostSimulated = 10;
constexpr double kMostInstructions = 40000;
constexpr size_t kMostOfSmall = 32;
constexpr double kSmall = 8000;
constexpr double kNear = 1.6;

// Tensors without data: where one lies makes no difference to the time of what it is used for.
Tensor contiguous(sim::DType type, std::initializer_list<int64_t> sizes) {
  Tensor tensor;
  tensor.dtype = static_cast<npuDataType>(type);
  tensor.rank = static_cast<int>(sizes.size());
  std::copy(sizes.begin(), sizes.end(), tensor.sizes.begin());
  int64_t stride = 1;
  for (int d = tensor.rank - 1; d >= 0; --d) {
    tensor.strides[d] = stride;
    stride *= tensor.sizes[d];
  }
  return tensor;
}

sim::Arg without_data(const npuArg& arg) {
  constexpr int64_t kLargest = int64_t{1} << 46;
  switch (arg.kind) {
    case NPU_ARG_POINTER:
      return sim::Arg::pointer({.data = nullptr, .lower = 0, .upper = kLargest, .address = 0});
    case NPU_ARG_INTEGER:
      return sim::Arg::integer(arg.value.integer);
    case NPU_ARG_REAL:
      return sim::Arg::real(arg.value.real);
  }
  return {};
}

// Cycles of dense attention, which walks as packed and paged attention do; nothing from `limit` on.
std::optional<uint64_t> simulate(const sim::Machine& machine, const AttentionWork& work,
                                 const AttentionForm& form, uint64_t limit) {
  const int64_t heads = work.kv_heads * work.group;
  const auto rows = [&](sim::DType type, int64_t dim) {
    return contiguous(type, {work.sequences, heads, work.query_len, dim});
  };
  const auto pairs = [&](int64_t dim) {
    return contiguous(form.type, {work.sequences, work.kv_heads, work.key_len, dim});
  };
  const Tensor q = rows(form.type, form.head_dim);
  const Tensor out = rows(form.out, form.value_dim);
  const Tensor k = pairs(form.head_dim);
  const Tensor v = pairs(form.value_dim);
  const Tensor mask =
      contiguous(form.mask_type, {work.sequences, heads, work.query_len, work.key_len});
  AttentionOptions options;
  options.causal = form.causal;
  options.window = work.window;
  options.soft_cap = form.soft_cap ? 1 : 0;
  options.sinks = contiguous(form.sink_type, {heads});
  AttentionCall call = dense_call(out, q, k, v, options);
  call.group = work.group;
  call.form = form;
  call.form.paged = false;
  call.divide();
  Arguments args;
  pass_flash_attention(args, call, mask,
                       contiguous(sim::DType::f32, {work.sequences, heads, work.query_len}));
  std::vector<sim::Arg> without;
  for (int i = 0; i < args.count(); ++i) without.push_back(without_data(args.data()[i]));
  const sim::Program program = build_flash_attention(machine, call.form);
  const sim::Timer timer(machine);
  const auto timing =
      timer.simulate_below({&program, call.grid(), std::move(without)}, {.cycles = limit});
  if (!timing) return std::nullopt;
  return timing->cycles;
}

AttentionForm search(const sim::Machine& machine, const AttentionWork& work,
                     const AttentionForm& form) {
  const std::vector<RankedBlocks> ranked = rank_blocks(machine, work, form);
  if (ranked.empty()) return usual_blocks(machine, form);
  if (ranked[0].instructions > kMostInstructions) return ranked[0].form;
  std::vector<AttentionForm> close;
  double instructions = 0;
  for (const RankedBlocks& candidate : ranked) {
    const double all = instructions + candidate.instructions;
    const size_t most = all <= kSmall ? kMostOfSmall : kMostSimulated;
    if (candidate.cycles > kNear * ranked[0].cycles || close.size() >= most) break;
    if (all > kMostInstructions) continue;
    instructions = all;
    close.push_back(candidate.form);
  }
  AttentionForm one_block = form;
  if (take_few_rows(machine, work, one_block) && fit(machine, one_block)) {
    close.push_back(one_block);
  }
  AttentionForm best = ranked[0].form;
  if (close.size() < 2) return best;
  uint64_t least = std::numeric_limits<uint64_t>::max();
  for (const AttentionForm& candidate : close) {
    const auto cycles = simulate(machine, work, candidate, least);
    if (!cycles) continue;
    least = *cycles;
    best = candidate;
  }
  return best;
}

}  // namespace

void choose_blocks(const sim::Machine& machine, const AttentionWork& work, AttentionForm& form) {
  // A step of generation waits for the memory alone, and each has another number of keys.
  const bool decodes = form.paged || work.query_len == 1;
  if (decodes && take_few_rows(machine, work, form)) return;
  static auto* const choices = new sdk::Choices<11, 4>("attention");
  const auto key = form.key();
  const auto chosen = choices->get(
      machine,
      {work.sequences, work.kv_heads, work.group, work.query_len, work.key_len, work.window, key[0],
       key[1], key[2], key[3], key[4] * 2 + static_cast<int64_t>(form.paged)},
      [&]() -> std::array<int64_t, 4> {
        const AttentionForm found = search(machine, work, form);
        return {found.rows, found.keys, found.blocks, found.buffers};
      });
  form.rows = chosen[0];
  form.keys = chosen[1];
  form.blocks = static_cast<int>(chosen[2]);
  form.buffers = static_cast<int>(chosen[3]);
}

}  // namespace npu::kernels
