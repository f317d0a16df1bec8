#include "csrc/sdk/kernels/attention_tiles.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "sim/timing/durations.h"

namespace npu::kernels {

namespace {

constexpr int64_t kFewestRows = 16;
constexpr int64_t kFewestKeys = 16;
// Rows beyond this many times the array's are no faster, and leave less to share.
constexpr int64_t kMostArrays = 8;

// Keys of a tile that many rows see: two widths of the array, unless it is wide. More make the
// edge of what causal rows see coarser, fewer have the sums rescaled more often.
constexpr int64_t kEnoughKeys = 256;
int64_t keys_of_many_rows(const sim::Machine& machine) {
  const int64_t cols = machine.matrix.cols;
  return std::max(cols, std::min(2 * cols, kEnoughKeys));
}

// Keys that tiles of many rows may have, most first: whole widths of the array, and halves of a
// wide one. Keys are columns of one product and rows of the next: where the array's sides are not
// multiples of each other, it takes more of them to fill both.
std::vector<int64_t> candidate_keys(const sim::Machine& machine) {
  const int64_t rows = machine.matrix.rows;
  const int64_t cols = machine.matrix.cols;
  const bool even = rows % cols == 0 || cols % rows == 0;
  const int64_t most = even ? keys_of_many_rows(machine) : 2 * kEnoughKeys;
  std::vector<int64_t> candidates;
  for (int64_t keys = most / cols * cols; keys > cols; keys -= cols) candidates.push_back(keys);
  candidates.push_back(cols);
  for (int64_t keys = std::bit_floor(static_cast<uint64_t>(cols - 1)); keys >= kFewestKeys;
       keys /= 2) {
    candidates.push_back(keys);
  }
  return candidates;
}

// Few rows leave the memory to be waited for: longer tiles hide its latency.
int64_t keys_of_few_rows(const sim::Machine& machine) { return 8 * machine.matrix.cols; }

constexpr double kInstructions = 16;  // of the vector engine, for a block and a range of keys
constexpr double kChained = 10;       // of which each waits for the one before
constexpr double kPipelineGap = 2;    // cycles from one to the next, besides its latency

// Cycles from a product's first operand to its first result.
double fill_and_drain(const sim::Machine& machine) {
  const auto& m = machine.matrix;
  return static_cast<double>(ceil_div(m.rows, m.load_rows) + m.rows + m.cols);
}

// Cycles of a vector instruction for a few elements that the next one waits for.
double instruction(const sim::Machine& machine) {
  return static_cast<double>(machine.vector.latency_cycles) + kPipelineGap;
}

// Of the matrix engine, for the rows of a block and a range of keys.
double products(const sim::Machine& machine, const AttentionForm& form, int64_t rows,
                int64_t keys) {
  const auto busy = [&](int64_t k, int64_t n) {
    return static_cast<double>(sim::matrix_duration(machine, form.type, rows, k, n).occupancy);
  };
  return busy(form.head_dim, keys) + busy(keys, form.value_dim);
}

// Cycles of the vector engine for the elements of a block's scores and sums.
double softmax_elements(const sim::Machine& machine, const AttentionForm& form, int64_t rows,
                        int64_t keys) {
  constexpr double kScorePasses = 3;  // besides the exponential
  const auto& v = machine.vector;
  return static_cast<double>(rows * keys) * (kScorePasses / v.lanes + 1.0 / v.special_lanes) +
         static_cast<double>(rows * form.value_dim) / v.lanes;
}

// Cycles of a launch of many rows, for comparing sizes: what a range of keys costs a program, and
// how evenly the programs fall to the cores. Engines overlap, but for what one block alone has to
// wait for.
class BlockCosts {
 public:
  BlockCosts(const sim::Machine& machine, const AttentionWork& work)
      : machine_(machine), work_(work) {}

  double of(const AttentionForm& form) const {
    constexpr double kResultPasses = 2.5;
    const auto [heads, tokens, tiles] = divide_rows(form, work_.group, work_.query_len);
    const int64_t rows = tokens * heads;
    const int64_t chunks = work_.kv_heads * ceil_div(work_.group, heads) * work_.sequences;
    const double own = fill_and_drain(machine_) + static_cast<double>(rows * form.value_dim) *
                                                      form.blocks * kResultPasses /
                                                      machine_.vector.lanes;
    const int64_t programs = tiles * chunks;
    const double one = range(form, rows, 1, programs);
    const double all = form.blocks == 1 ? one : range(form, rows, 2, programs);
    const auto program = [&](int64_t number) {
      const int64_t first = (tiles - 1 - number / chunks) * form.blocks * tokens;
      const int64_t by_all = ranges_seen(form, first + tokens);
      if (form.blocks == 1 || first + tokens >= work_.query_len) {
        return own + one * static_cast<double>(by_all);
      }
      const int64_t by_last = ranges_seen(form, first + 2 * tokens);
      return own + all * static_cast<double>(by_all) + one * static_cast<double>(by_last - by_all);
    };
    return makespan(programs, program);
  }

  // Of all programs, about.
  double instructions(const AttentionForm& form) const {
    constexpr double kOwn = 24;    // of a block, besides those for its ranges
    constexpr double kRange = 16;  // of a block for a range
    const auto [heads, tokens, tiles] = divide_rows(form, work_.group, work_.query_len);
    const int64_t chunks = work_.kv_heads * ceil_div(work_.group, heads) * work_.sequences;
    double each = 0;
    for (int64_t tile = 1; tile <= tiles; ++tile) {
      each += kOwn + kRange * static_cast<double>(ranges_seen(form, tile * tokens * form.blocks));
    }
    return each * form.blocks * static_cast<double>(chunks);
  }

 private:
  // A range of keys that so many blocks see, in one of so many programs.
  double range(const AttentionForm& form, int64_t rows, int blocks, int64_t programs) const {
    const int64_t bytes = form.keys * (form.head_dim + form.value_dim) * sim::size_of(form.type);
    const double compute = range_cycles(machine_, form, rows, form.keys, blocks);
    const double transfer = transfer_cycles(machine_, bytes, programs);
    if (form.buffers > 1) return std::max(compute, transfer);
    // In single buffers keys arrive while values are used, and the other way round.
    constexpr double kSingle = 1.2;  // what else is waited for, as the timer shows
    return kSingle * (compute + 0.5 * transfer);
  }

  // By tokens that end before this one.
  int64_t ranges_seen(const AttentionForm& form, int64_t end) const {
    int64_t keys = work_.key_len;
    if (form.causal) keys += std::min(end, work_.query_len) - work_.query_len;
    if (form.window) keys = std::min(keys, work_.window + form.rows);
    return ceil_div(keys, form.keys);
  }

  // Programs fall to the cores in rounds, every other round backwards: the busiest core is the
  // first or the last.
  template <typename Program>
  double makespan(int64_t programs, const Program& program) const {
    const int64_t cores = machine_.core.count;
    const int64_t rounds = ceil_div(programs, cores);
    // Where rounds are many they even out, and a few of them stand for all.
    constexpr int64_t kMostRounds = 32;
    const int64_t step = ceil_div(rounds, kMostRounds);
    double first = 0;
    double last = 0;
    for (int64_t i = 0; i * step < rounds; ++i) {
      const int64_t begin = i * step * cores;
      const double ahead = program(begin);
      const double behind = begin + cores <= programs ? program(begin + cores - 1) : 0;
      const auto count = static_cast<double>(std::min(step, rounds - i * step));
      first += count * (i % 2 == 0 ? ahead : behind);
      last += count * (i % 2 == 0 ? behind : ahead);
    }
    return std::max(first, last);
  }

  const sim::Machine& machine_;
  const AttentionWork& work_;
};

}  // namespace

bool fits(const sim::Machine& machine, const AttentionForm& form) {
  return scratchpad_bytes(form) <= machine.scratchpad_bytes();
}

void halve(const sim::Machine& machine, const AttentionForm& form, int64_t& size, int64_t least) {
  while (!fits(machine, form) && size > least) size = std::max(size / 2, least);
}

double transfer_cycles(const sim::Machine& machine, int64_t bytes, int64_t programs) {
  constexpr double kReached = 0.9;  // of the peak
  const auto sharing = static_cast<double>(std::min<int64_t>(programs, machine.core.count));
  const double shared = std::min(kReached * machine.hbm_bytes_per_cycle(),
                                 static_cast<double>(machine.noc.total_bytes_per_cycle));
  const double share = shared / sharing;
  return static_cast<double>(bytes) /
         std::min(share, static_cast<double>(machine.load_bytes_per_cycle()));
}

double step_cycles(const sim::Machine& machine, const AttentionForm& form, int64_t rows,
                   int64_t keys) {
  const double matrix = products(machine, form, rows, keys);
  const double vector =
      softmax_elements(machine, form, rows, keys) + kChained * instruction(machine);
  return fill_and_drain(machine) + matrix + vector + (form.blocks - 1) * std::max(matrix, vector);
}

double range_cycles(const sim::Machine& machine, const AttentionForm& form, int64_t rows,
                    int64_t keys, int blocks) {
  const double matrix = products(machine, form, rows, keys);
  const double vector =
      softmax_elements(machine, form, rows, keys) + kInstructions * instruction(machine);
  const double pipeline = fill_and_drain(machine);
  if (blocks > 1) return std::max({2 * matrix, 2 * vector, matrix + vector + pipeline});
  const double waited = form.buffers > 1 ? 0.3 : 1;  // of the engine that has less to do
  return std::max(matrix, vector) + waited * std::min(matrix, vector) + 0.5 * pipeline;
}

double least_turn(const sim::Machine& machine, const AttentionForm& form) {
  constexpr double kTurn = 12;  // besides those for a range: of its beginning and its end
  return fill_and_drain(machine) + form.blocks * (kInstructions + kTurn) * instruction(machine);
}

int64_t scratchpad_bytes(const AttentionForm& f) {
  constexpr int64_t kAlignment = 64 * 80;
  constexpr int64_t kColumns = 10 * 8;    // statistics of a row
  constexpr int64_t kKeyNumbers = 4;      // of a key
  constexpr int64_t kPagedKeys = 11 * 8;  // of a key
  const int64_t type = sim::size_of(f.type);
  const int64_t compute = sim::size_of(f.compute());
  int64_t bytes = f.rows * (f.head_dim * type + f.value_dim * (compute + sim::size_of(f.out)));
  bytes += f.rows * f.keys * (compute + type) * f.buffers;
  if (f.mask != AttentionForm::Mask::none) {
    bytes += f.rows * f.keys * sim::size_of(f.mask_type) * f.buffers;
  }
  bytes += f.rows * kColumns;
  bytes *= f.blocks;
  if (f.causal) bytes += f.rows * f.keys;
  const int64_t pair = f.keys * (f.head_dim + f.value_dim) * type;
  if (f.decode) {
    bytes += pair * 2 * f.kv_heads + (f.in_parts() ? pair * f.buffers : 0);
    bytes += f.rows * (f.head_dim + 1) * type * f.kv_heads;  // the next turn's queries and sinks
  } else {
    bytes += pair * f.buffers;
  }
  bytes += f.keys * (f.paged ? kKeyNumbers + kPagedKeys : kKeyNumbers);
  return bytes + kAlignment;
}

RowDivision divide_rows(const AttentionForm& form, int64_t group, int64_t query_len) {
  RowDivision division;
  division.heads = even_part(group, std::min(group, form.rows));
  division.tiles = ceil_div(query_len, form.rows / division.heads * form.blocks);
  division.tokens = ceil_div(query_len, division.tiles * form.blocks);
  return division;
}

int64_t rows_for(int64_t needed) {
  int64_t rows = kFewestRows;
  while (rows < needed) rows *= 2;
  return rows;
}

bool take_few_rows(const sim::Machine& machine, const AttentionWork& work, AttentionForm& form) {
  const int64_t needed = work.group * work.query_len;
  if (needed > machine.matrix.rows) return false;
  form.blocks = 1;
  form.rows = rows_for(needed);
  form.keys =
      form.rows < machine.matrix.rows ? keys_of_few_rows(machine) : keys_of_many_rows(machine);
  return true;
}

AttentionForm usual_blocks(const sim::Machine& machine, const AttentionForm& form) {
  AttentionForm usual = form;
  usual.blocks = 2;
  usual.rows = machine.matrix.rows;
  usual.keys = keys_of_many_rows(machine);
  return usual;
}

std::vector<RankedBlocks> rank_blocks(const sim::Machine& machine, const AttentionWork& work,
                                      const AttentionForm& form) {
  const int64_t needed = work.group * work.query_len;
  // What costs do not tell of tiles that are shorter: of equals the others win.
  constexpr double kShort = 1.01;
  const int64_t usual = keys_of_many_rows(machine);
  const BlockCosts costs(machine, work);
  std::vector<RankedBlocks> ranked;
  const std::vector<int64_t> all_keys = candidate_keys(machine);
  AttentionForm tried = form;
  const auto rank = [&] {
    const bool is_smallest = tried.rows == kFewestRows && tried.blocks == 1;
    if (tried.rows * tried.blocks >= 2 * needed && !is_smallest) return;
    for (const int64_t keys : all_keys) {
      tried.keys = keys;
      if (!fits(machine, tried)) continue;
      const double cost = costs.of(tried) * (keys < usual ? kShort : 1);
      ranked.push_back({tried, cost, costs.instructions(tried)});
    }
  };
  const int64_t most_rows = kMostArrays * machine.matrix.rows;
  for (tried.buffers = form.buffers; tried.buffers > 0; --tried.buffers) {
    for (tried.rows = kFewestRows; tried.rows <= most_rows; tried.rows *= 2) {
      for (tried.blocks = 1; tried.blocks <= 2; ++tried.blocks) rank();
    }
  }
  // Of equals those with more rows.
  std::ranges::reverse(ranked);
  std::ranges::stable_sort(ranked, {}, &RankedBlocks::cycles);
  return ranked;
}

bool fit(const sim::Machine& machine, AttentionForm& form) {
  halve(machine, form, form.keys, machine.matrix.cols);
  halve(machine, form, form.rows, machine.matrix.rows);
  if (!fits(machine, form)) form.buffers = 1;
  if (!fits(machine, form)) form.blocks = 1;
  halve(machine, form, form.keys, 1);
  halve(machine, form, form.rows, 1);
  return fits(machine, form);
}

}  // namespace npu::kernels
