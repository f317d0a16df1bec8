// Attention of few rows to a paged cache. A program takes the KV heads of a sequence in turns, some
// at a time, and walks through steps: ranges of keys of the first turn, then of the next. The
// memory is all that it waits for, so a step's keys and values are on their way while those of the
// step before are used, whichever turn it belongs to.
#include <fmt/format.h>

#include "csrc/sdk/kernels/attention_program.h"
#include "csrc/sdk/kernels/builder_names.h"

namespace npu::kernels {

// A step's tiles cannot be the next buffer of those of the step before, which are read later than
// these are written. So there are two sets of names, used in turn.
sim::Program AttentionProgram::write_decode(const Sequence& sequence, const Fetch& fetch) {
  declare_tiles();
  Arrival even, odd;
  declare_arrival(even, "");
  declare_arrival(odd, "_odd");
  locate_blocks(sequence);
  b_.if_(ranges_ <= 0, [&] {
    take_turns_without_keys(sequence);
    b_.exit();
  });
  steps_ = ranges_ * turns_;
  const auto if_any = [&](const Value& step, const Fetch::OfRange& body) {
    b_.if_(step < steps_, [&] {
      const Range keys = range(step % ranges_);
      body(keys.first, keys.count);
    });
  };
  if_any(0, fetch.load_table);
  if_any(0, fetch.locate);
  if_any(1, fetch.load_table);
  for (const Block& block : blocks_) load_queries(block, sequence);
  fetch_step(fetch, 0, even);
  if_any(1, fetch.locate);
  if_any(2, fetch.load_table);
  start_turn(0);
  b_.loop(b_.ceil_div(steps_, 2), [&](const Value& pair) {
    const Value step = pair * 2;
    take_step(sequence, fetch, step, even, odd);
    b_.if_(step + 1 < steps_, [&] { take_step(sequence, fetch, step + 1, odd, even); });
  });
  finish_turn(sequence, turns_ - 1);
  return b_.finish();
}

void AttentionProgram::declare_arrival(Arrival& arrival, const char* suffix) {
  const int64_t heads = form_.side_by_side ? form_.kv_heads : 1;
  const int tiles = form_.side_by_side ? 1 : form_.kv_heads;
  const int64_t keys = form_.keys * heads;
  for (int i = 0; i < tiles; ++i) {
    const auto tile = [&](const char* name, int64_t capacity) {
      return b_.tile(fmt::format("{}{}{}", name, i, suffix), form_.type, capacity);
    };
    if (form_.pairs) {
      arrival.keys.push_back(tile("pairs", keys * (form_.head_dim + form_.value_dim)));
      arrival.values.push_back(arrival.keys.back());
    } else {
      arrival.keys.push_back(tile("keys", keys * form_.head_dim));
      arrival.values.push_back(tile("values", keys * form_.value_dim));
    }
  }
}

void AttentionProgram::fetch_step(const Fetch& fetch, const Value& step, const Arrival& into) {
  const Value first = kv_head_ + step / ranges_ * form_.kv_heads;
  for (size_t i = 0; i < into.keys.size(); ++i) {
    fetch.load(into.keys[i], into.values[i], first + static_cast<int64_t>(i));
  }
}

// A step's keys are located a step before they are fetched, and the table that says where is read a
// step before that: the vector engine, which locates, is busy with what has arrived.
void AttentionProgram::take_step(const Sequence& sequence, const Fetch& fetch, const Value& step,
                                 const Arrival& now, const Arrival& next) {
  b_.if_(step + 1 < steps_, [&] { fetch_step(fetch, step + 1, next); });

  const Value turn = step / ranges_;
  const Value number = step - turn * ranges_;
  const Range keys = range(number);
  for (const Block& block : blocks_) make_scores(block, keys, own_keys(block, now, keys));
  b_.if_(step + 2 < steps_, [&] {
    const Range later = range((step + 2) % ranges_);
    fetch.locate(later.first, later.count);
  });
  b_.if_(step + 3 < steps_, [&] {
    const Range later = range((step + 3) % ranges_);
    fetch.load_table(later.first, later.count);
  });
  b_.if_((number == Value(0)) & (Value(0) < turn), [&] {
    finish_turn(sequence, turn - 1);
    start_turn(turn);
  });
  b_.if_((number + 1 == ranges_) & (turn + 1 < turns_), [&] {
    turn_ = turn + 1;
    for (const Block& block : blocks_) load_queries(block, sequence);
    turn_ = 0;
  });
  for (const Block& block : blocks_) {
    finish_scores(block, keys);
    make_weights(block);
    update_rows(block);
    add_values(block, keys, own_values(block, now, keys));
  }
}

void AttentionProgram::start_turn(const Value& turn) {
  turn_ = turn;
  for (const Block& block : blocks_) start_rows(block);
  turn_ = 0;
}

void AttentionProgram::finish_turn(const Sequence& sequence, const Value& turn) {
  turn_ = turn;
  for (const Block& block : blocks_) finish_rows(block, sequence);
  turn_ = 0;
}

void AttentionProgram::take_turns_without_keys(const Sequence& sequence) {
  b_.loop(turns_, [&](const Value& turn) {
    turn_ = turn;
    for (const Block& block : blocks_) load_queries(block, sequence);
    start_turn(turn);
    finish_turn(sequence, turn);
  });
}

// A KV head's keys, by themselves.
Tile AttentionProgram::own_keys(const Block& block, const Arrival& arrival, const Range& range) {
  if (!form_.in_parts()) return arrival.keys[static_cast<size_t>(block.number)];
  const Value width = form_.pairs ? head_dim_ + value_dim_ : head_dim_;
  part_runs(block, arrival.keys, width, range);
  cut_out(block, arrival.keys, k_tile_, range, {width, 0, head_dim_});
  return k_tile_;
}

Tile AttentionProgram::own_values(const Block& block, const Arrival& arrival, const Range& range) {
  if (!form_.in_parts()) return arrival.values[static_cast<size_t>(block.number)];
  if (form_.pairs) {
    cut_out(block, arrival.keys, v_tile_, range, {head_dim_ + value_dim_, head_dim_, value_dim_});
  } else {
    part_runs(block, arrival.values, value_dim_, range);
    cut_out(block, arrival.values, v_tile_, range, {value_dim_, 0, value_dim_});
  }
  return v_tile_;
}

// Makes rows of a key each from the rows of a run each that were fetched, once for each tile.
void AttentionProgram::part_runs(const Block& block, const std::vector<Tile>& arrived,
                                 const Value& width, const Range& range) {
  if (form_.run == 1 || (form_.side_by_side && block.number > 0)) return;
  const Value keys = b_.ceil_div(range.count, form_.run) * form_.run;
  b_.reshape(arrived[static_cast<size_t>(block.number)], keys,
             form_.side_by_side ? width * form_.kv_heads : width);
}

void AttentionProgram::cut_out(const Block& block, const std::vector<Tile>& arrived,
                               const Tile& part, const Range& range, const Columns& columns) {
  if (form_.side_by_side) {
    b_.slice(part, arrived[0], 0, columns.of_head * block.number + columns.first, range.count,
             columns.count);
  } else {
    b_.slice(part, arrived[static_cast<size_t>(block.number)], 0, columns.first, range.count,
             columns.count);
  }
}

}  // namespace npu::kernels
