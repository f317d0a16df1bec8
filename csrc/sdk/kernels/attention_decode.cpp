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
      const Range range = step_range(step);
      body(range.first, range.count);
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

AttentionProgram::Range AttentionProgram::step_range(const Value& step) {
  return range(step % ranges_);
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
    const Range range = step_range(step + 2);
    fetch.locate(range.first, range.count);
  });
  b_.if_(step + 3 < steps_, [&] {
    const Range range = step_range(step + 3);
    fetch.load_table(range.first, range.count);
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

Tile AttentionProgram::own_keys(const Block& block, const Arrival& arrival, const Range& range) {
  const Value width = form_.pairs ? head_dim_ + value_dim_ : head_dim_;
  return own_part(block, arrival.keys, k_tile_, range, {width, 0, head_dim_});
}

Tile AttentionProgram::own_values(const Block& block, const Arrival& arrival, const Range& range) {
  if (!form_.pairs) {
    return own_part(block, arrival.values, v_tile_, range, {value_dim_, 0, value_dim_});
  }
  const Value width = head_dim_ + value_dim_;
  return own_part(block, arrival.keys, v_tile_, range, {width, head_dim_, value_dim_});
}

// A KV head's part of what was fetched. Runs of keys become keys where the first part is taken.
Tile AttentionProgram::own_part(const Block& block, const std::vector<Tile>& arrived,
                                const Tile& part, const Range& range, const Columns& columns) {
  const auto number = static_cast<size_t>(block.number);
  if (!form_.in_parts()) return arrived[number];
  const Tile& all = arrived[form_.side_by_side ? 0 : number];
  const bool first = part.id == k_tile_.id || !form_.pairs;
  if (form_.run > 1 && first && (block.number == 0 || !form_.side_by_side)) {
    const Value keys = b_.ceil_div(range.count, form_.run) * form_.run;
    b_.reshape(all, keys, columns.of_head * (form_.side_by_side ? form_.kv_heads : 1));
  }
  const Value before = form_.side_by_side ? columns.of_head * block.number : Value(0);
  b_.slice(part, all, 0, before + columns.first, range.count, columns.count);
  return part;
}

}  // namespace npu::kernels
