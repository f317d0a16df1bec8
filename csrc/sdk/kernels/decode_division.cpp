#include "csrc/sdk/kernels/decode_division.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "csrc/sdk/kernels/attention_tiles.h"
#include "csrc/sdk/kernels/tile_walk.h"

namespace npu::kernels {
namespace {

int64_t power_of_two_in(int64_t n) { return n & -n; }

// How the cache of a paged call lies in memory.
struct CacheLayout {
  int64_t kv_heads = 1;
  int64_t run = 1;            // keys of a block that may be fetched together: a power of two
  bool pairs = false;         // a value lies beside its key
  bool side_by_side = false;  // a key's KV heads lie side by side
};

CacheLayout layout_of(const AttentionCall& call) {
  const Tensor& k = *call.k.tensor;
  const Tensor& v = *call.v.tensor;
  const int64_t dim = call.k.dim();
  CacheLayout cache{.kv_heads = call.k.heads()};
  const bool alike = std::equal(k.strides.begin(), k.strides.begin() + 3, v.strides.begin());
  cache.pairs = alike && v.data == static_cast<char*>(k.data) + dim * sim::size_of(call.form.type);
  cache.side_by_side = cache.kv_heads > 1 &&
                       call.k.head_stride() == dim + (cache.pairs ? call.v.dim() : 0) &&
                       (cache.pairs || call.v.head_stride() == call.v.dim());
  // A run's first keys may lie before those that are to be seen, which causal programs hide.
  if (call.options.causal || call.options.window == 0) {
    cache.run = std::min(power_of_two_in(k.sizes[1]), kKeysOfUnit);
  }
  return cache;
}

// Rows of the memory that keys fetched together should fill: more gain little, but are read in
// vain where a sequence ends among them.
constexpr int64_t kRowsOfRun = 4;
// Rows that decode programs may have, in the array's: beyond that arithmetic decides, and programs
// of two blocks overlap more of it.
constexpr int64_t kMostArraysOfRows = 4;
// Bytes of the memory that partial results may take.
constexpr int64_t kMostPartial = int64_t{128} << 20;
// KV heads that a program takes at a time: each has code of its own.
constexpr int64_t kMostHeads = 16;

// Bytes of a key of one KV head that lie together, about where values have another dimension.
int64_t bytes_of_head(const AttentionForm& form) {
  const int64_t pair = (form.head_dim + form.value_dim) * sim::size_of(form.type);
  return form.pairs ? pair : pair / 2;
}

// Bytes that lie together in what a program fetches: keys of a run do, unless those of other KV
// heads lie between. Forms for many rows fetch key by key.
int64_t run_bytes(const CacheLayout& cache, const AttentionForm& form) {
  const int64_t bytes = bytes_of_head(form) * (form.side_by_side ? form.kv_heads : 1);
  return cache.side_by_side && form.kv_heads < cache.kv_heads ? bytes : bytes * form.run;
}

// The forms of decode programs that the scratchpad has room for: those of the longest runs first,
// and of them those of fewest heads.
std::vector<AttentionForm> decode_forms(const sim::Machine& machine, const CacheLayout& cache,
                                        const AttentionForm& form, int64_t rows) {
  std::vector<AttentionForm> forms;
  AttentionForm tried = form;
  tried.decode = true;
  tried.buffers = 2;
  tried.rows = rows_for(rows);
  tried.pairs = cache.pairs;
  const int64_t of_head = bytes_of_head(tried);
  for (int64_t heads = 1; heads <= std::min(cache.kv_heads, kMostHeads); ++heads) {
    if (cache.kv_heads % heads != 0) continue;
    tried.kv_heads = tried.blocks = static_cast<int>(heads);
    tried.side_by_side = cache.side_by_side && heads > 1;
    tried.run = 1;
    const int64_t bytes = tried.side_by_side ? heads * of_head : of_head;
    // One of several heads in a key's row gains nothing by runs, and has no need to be cut out.
    if (cache.pairs || tried.side_by_side == cache.side_by_side) {
      const int64_t enough = kRowsOfRun * machine.hbm.row_bytes;
      while (tried.run < cache.run && tried.run * bytes < enough) tried.run *= 2;
    }
    tried.keys = (tried.side_by_side ? 1 : 4) * machine.matrix.cols;
    halve(machine, tried, tried.keys, machine.matrix.cols);
    while (tried.keys % tried.run != 0) tried.run /= 2;
    if (fits(machine, tried)) forms.push_back(tried);
  }
  std::ranges::stable_sort(forms, std::greater(),
                           [&cache](const AttentionForm& each) { return run_bytes(cache, each); });
  return forms;
}

// Cycles of a launch, or of two where programs share sequences. They are good for comparing.
class DecodeCosts {
 public:
  DecodeCosts(const sim::Machine& machine, const CacheLayout& cache, const AttentionCall& call)
      : machine_(machine),
        cache_(cache),
        sequences_(call.sequences),
        group_(call.group),
        rows_(call.group * call.query_len),
        block_rows_(call.heads_each * call.tokens_each),
        most_(std::max<int64_t>(std::min(call.key_len, call.most_keys()), 1)),
        wait_(machine.hbm.latency_ns * machine.clock_ghz) {}

  // A program for each KV head of each sequence, and where rows are many for each tile of them.
  // Steps of few rows do not overlap, and each further program of a core waits once more.
  double rows(const AttentionForm& form, int64_t programs) const {
    const int64_t lot = ceil_div(programs, machine_.core.count);
    const int64_t keys = longest(lot, std::min<int64_t>(programs, machine_.core.count));
    const int64_t steps = std::max(ceil_div(keys, form.keys), lot);
    const double waits = kWaits + static_cast<double>(lot - 1);
    const double fetching = fetch(form, keys, programs);
    if (form.blocks > 1 || rows_ > form.rows) {
      const double range =
          range_cycles(machine_, form, block_rows_, ceil_div(keys, steps), form.blocks);
      return waits * wait_ + std::max(fetching, static_cast<double>(steps) * range);
    }
    const double computing = static_cast<double>(steps) *
                             step_cycles(machine_, form, block_rows_, ceil_div(keys, steps));
    return waits * wait_ + fetching + computing;
  }

  // Decode programs of whole sequences.
  double whole(const AttentionForm& form, int64_t parts, int64_t chunks) const {
    const int64_t lot = ceil_div(sequences_, parts);
    return kWaits * wait_ + walk(form, longest(lot, parts), lot, parts, chunks);
  }

  // Decode programs of equal shares, and the programs that join the partial results. All of them
  // read the lengths before, in lots.
  double shares(const AttentionForm& form, int64_t parts, int64_t chunks) const {
    constexpr double kReading = 15;   // cycles for each sequence
    constexpr double kJoining = 3.5;  // waits
    constexpr double kPart = 60;      // cycles for each part of a sequence
    const auto lots = static_cast<double>(ceil_div(sequences_, kLargestLot));
    const double waits = kWaits + kJoining + 2 * lots - 1;
    const double joining = kPart * static_cast<double>(ceil_div(parts, sequences_));
    // A share is a unit more at most, and may begin and end amid sequences.
    const int64_t share = ceil_div(usual() * sequences_, parts) + kKeysOfUnit;
    const int64_t seen = std::min(ceil_div(sequences_, parts) + 1, sequences_);
    return waits * wait_ + 2 * kReading * static_cast<double>(sequences_) + joining +
           partial_results(form, parts, chunks) + walk(form, share, seen, parts, chunks);
  }

  int64_t most() const { return most_; }

 private:
  static constexpr double kWaits = 4;  // for lengths, the table, keys, and results

  // What programs leave of shared sequences, and what is read again to join it: little of a token
  // or two, much of the rows of a prompt.
  double partial_results(const AttentionForm& form, int64_t parts, int64_t chunks) const {
    constexpr double kPasses = 3;  // of the vector engine that joins
    const auto places = static_cast<double>(std::min(parts + sequences_, 2 * parts));
    const double elements = places * static_cast<double>(rows_ * cache_.kv_heads) *
                            static_cast<double>(form.value_dim + 2);
    const double bytes = elements * sim::size_of(form.compute());
    const double memory = machine_.hbm_bytes_per_cycle() * machine_.hbm_stream_efficiency();
    const auto storing = static_cast<double>(parts * chunks);
    const double stored = bytes / std::min(memory, storing * machine_.store_bytes_per_cycle());
    // Programs of the join divide sequences, or borders of shares, and heads.
    const auto joining = static_cast<double>(std::min<int64_t>(
        machine_.core.count, std::min(sequences_, parts - 1) * group_ * cache_.kv_heads));
    const double loaded = bytes / std::min(memory, joining * machine_.load_bytes_per_cycle());
    return stored + loaded + elements * kPasses / machine_.vector.lanes / joining;
  }

  // The longest has all keys that it may have, the others half of them.
  int64_t usual() const { return ceil_div(most_ * (sequences_ + 1), 2 * sequences_); }

  // Keys of the longest of so many lots of sequences. If lengths were spread evenly it would exceed
  // the mean by half a standard deviation for each doubling of the lots, about; as they may also be
  // alike, half of that.
  int64_t longest(int64_t sequences, int64_t lots) const {
    const double deviation =
        static_cast<double>(most_ - usual()) * std::sqrt(static_cast<double>(sequences) / 3);
    const double doublings = std::log2(static_cast<double>(lots));
    return sequences * usual() + static_cast<int64_t>(0.25 * doublings * deviation);
  }

  // One of so many programs side by side fetches keys of its KV heads.
  double fetch(const AttentionForm& form, int64_t count, int64_t programs) const {
    const int64_t bytes =
        count * form.kv_heads * (form.head_dim + form.value_dim) * sim::size_of(form.type);
    const int64_t sharing = std::min<int64_t>(programs, machine_.core.count);
    const double memory =
        std::min(machine_.hbm_bytes_per_cycle() * machine_.hbm_efficiency(run_bytes(cache_, form)),
                 static_cast<double>(machine_.noc.total_bytes_per_cycle));
    const double rate = std::min(memory / static_cast<double>(sharing),
                                 static_cast<double>(machine_.load_bytes_per_cycle()));
    return static_cast<double>(bytes) / rate;
  }

  // A decode program walks through the keys of so many sequences. What a step takes arrives in one
  // of two places while what arrived in the other is computed with.
  double walk(const AttentionForm& form, int64_t keys, int64_t sequences, int64_t parts,
              int64_t chunks) const {
    const double of_sequence = static_cast<double>(keys) / static_cast<double>(sequences);
    const double steps = std::max(of_sequence / static_cast<double>(form.keys), 1.0);
    const auto of_step = static_cast<int64_t>(std::ceil(of_sequence / steps));
    const double fetching = fetch(form, of_step, parts * chunks);
    // Of more rows than the array has, engines wait for each other longer, as the timer shows.
    constexpr double kWaiting = 1.25;
    const double computing =
        step_cycles(machine_, form, rows_, of_step) * (rows_ > machine_.matrix.rows ? kWaiting : 1);
    // Cores that have waited fetch with more than their share.
    const double in_turn = fetch(form, of_step, 1) + wait_ + computing;
    const double step = std::max({fetching, computing, in_turn / 2});
    const int64_t turns = cache_.kv_heads / form.kv_heads / chunks;
    return static_cast<double>(turns * sequences) * steps * step + computing;
  }

  const sim::Machine& machine_;
  const CacheLayout& cache_;
  int64_t sequences_;
  int64_t group_;       // query heads of a KV head
  int64_t rows_;        // of a KV head
  int64_t block_rows_;  // of a program for many rows
  int64_t most_;        // keys of a sequence
  double wait_;         // for the memory
};

}  // namespace

std::vector<DecodeDivision> decode_divisions(const sim::Machine& machine,
                                             const AttentionCall& call) {
  std::vector<DecodeDivision> divisions = {{call.form, 1, call.head_chunks, 1, 0}};
  const int64_t rows = call.group * call.query_len;
  if (rows > kMostArraysOfRows * machine.matrix.rows) return divisions;
  const CacheLayout cache = layout_of(call);
  const DecodeCosts costs(machine, cache, call);
  divisions[0].cycles = costs.rows(call.form, call.grid());
  const int64_t cores = machine.core.count;
  for (const AttentionForm& form : decode_forms(machine, cache, call.form, rows)) {
    const int64_t turns = cache.kv_heads / form.kv_heads;
    for (int64_t chunks = std::min(turns, cores); chunks > 0; --chunks) {
      if (turns % chunks != 0) continue;
      const int64_t parts = cores / chunks;
      if (parts > 1 && costs.most() > kKeysOfUnit && call.partial_bytes(parts) <= kMostPartial) {
        divisions.push_back(
            {form, parts, chunks, turns / chunks, costs.shares(form, parts, chunks)});
        divisions.back().form.shares = true;
      }
      const int64_t whole = std::min(parts, call.sequences);
      divisions.push_back({form, whole, chunks, turns / chunks, costs.whole(form, whole, chunks)});
    }
  }
  return divisions;
}

void divide(const sim::Machine& machine, const DecodeDivision& division, AttentionCall& call) {
  call.form = division.form;
  call.parts = division.parts;
  call.head_chunks = division.head_chunks;
  call.turns = division.turns;
  AttentionForm& form = call.form;
  if (!form.decode) return;
  // One block takes all rows of a KV head.
  call.heads_each = call.group;
  call.tokens_each = call.query_len;
  call.query_tiles = 1;
  if (form.shares) form.only_lot = only_lot_of(call.sequences);
  const int64_t key_bytes = (call.k.dim() + call.v.dim()) * sim::size_of(form.type);
  const double unit = transfer_cycles(machine, key_bytes * form.kv_heads * kKeysOfUnit);
  call.least_units = static_cast<int64_t>(std::ceil(least_turn(machine, form) / unit));
}

void divide_decode(const sim::Machine& machine, AttentionCall& call) {
  // Costs are not exact: of near equals those that come first win.
  constexpr double kNoBetter = 0.99;
  const std::vector<DecodeDivision> divisions = decode_divisions(machine, call);
  const DecodeDivision* best = divisions.data();
  for (const DecodeDivision& division : divisions) {
    if (division.cycles < kNoBetter * best->cycles) best = &division;
  }
  divide(machine, *best, call);
}

}  // namespace npu::kernels
