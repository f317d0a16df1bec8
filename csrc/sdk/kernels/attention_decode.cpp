// Attention to a paged cache of rows that one block holds: a token of each sequence, or some.
// Programs divide the KV heads, and for the same heads the sequences: each gets whole ones, or an
// equal share of the keys of all (KeyShares), which may begin and end amid a sequence.
//
// A program walks through steps: ranges of a sequence's keys for some of its KV heads (a turn),
// then of the next turn, then of the next sequence. The memory is all that it waits for, so what a
// step needs is asked for while those before are computed, whichever sequences they belong to:
//
//   lead    the part of the block table that says where the step's keys lie
//   later   their places, which the vector engine makes of that
//   next    keys and values, and the queries of a turn that begins
//   now     scores, weights and sums
#include <fmt/format.h>

#include <optional>
#include <tuple>

#include "csrc/sdk/kernels/attention_program.h"
#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/key_shares.h"
#include "csrc/sdk/kernels/tile_walk.h"

namespace npu::kernels {

// Variables of the program, as those of Step and Walk.
struct AttentionProgram::Turn {
  explicit Turn(Builder& b)
      : start(b.variable(0)),
        tokens(b.variable(0)),
        last_key(b.variable(0)),
        code(b.variable(0)),
        place(b.variable(-1)) {}

  // The same values, in variables of its own.
  void set(Builder& b, const Turn& other) const {
    b.set(start, other.start);
    b.set(tokens, other.tokens);
    b.set(last_key, other.last_key);
    b.set(code, other.code);
    b.set(place, other.place);
  }

  Value start, tokens;  // of the sequence's queries
  Value last_key;       // that the first token sees (causal)
  // Twice its number among all heads' turns, of which the program has `turns_`; 1 more in its first
  // step.
  Value code;
  // Of the partial result, twice, and 1 more if it is the sequence's first; -1 of whole sequences.
  Value place;

  Value number() const { return code / 2; }
  Value begins() const { return code & 1; }
};

struct AttentionProgram::Step {
  explicit Step(Builder& b) : turn(b), first(b.variable(0)), count(b.variable(-1)) {}

  void set(Builder& b, const Step& other) const {
    turn.set(b, other.turn);
    b.set(first, other.first);
    b.set(count, other.count);
  }

  Turn turn;
  Value first, count;  // of the range of keys; a count of -1 where there is no step
};

// Where a program is, in steps and sequences.
struct AttentionProgram::Walk {
  struct Begin {
    Value sequence, skipped, left;
  };
  Walk(Builder& b, const Begin& at)
      : now(b),
        next(b),
        later(b),
        lead(b),
        open(b),
        sequence(b.variable(at.sequence)),
        left(b.variable(at.left)),
        skipped(b.variable(at.skipped)),
        begin(b.variable(0)),
        end(b.variable(0)),
        each(b.variable(0)),
        next_length(b.variable(0)),
        next_start(b.variable(0)),
        next_end(b.variable(0)) {}

  Step now, next, later, lead;
  Turn open;         // of `now`, or the one before
  Value sequence;    // to be entered next; its length and its tokens are on their way
  Value left;        // units of the share that belong to `sequence` and later ones
  Value skipped;     // units of `sequence` that belong to other programs
  Value begin, end;  // of the keys of the sequence that `lead` belongs to
  Value each;        // of them in a range
  Value next_length, next_start, next_end;
  const KeyShares* shares = nullptr;
};

// Made where it is used: registers are few.
Value AttentionProgram::part() { return b_.pid() / head_chunks_; }

// At the sequence that the program begins with, which has been asked for.
AttentionProgram::Walk AttentionProgram::begin_walk(const KeyShares* shares, const Batch& batch) {
  // Reading the lengths takes registers, which have to be free again for those of the walk.
  const auto share = [&]() -> Walk::Begin {
    const KeyShares::Total total = shares->count();
    const Value first = shares->begin(part(), total);
    const KeyShares::Place place = shares->find(first, total);
    return {place.sequence, first - place.before, shares->begin(part() + 1, total) - first};
  };
  // The only sequence is known before its length is.
  const bool one_sequence = form_.only_lot == 1;
  const Walk::Begin known = {one_sequence ? Value(0) : part(), 0, 0};
  Walk walk(b_, shares != nullptr && !one_sequence ? share() : known);
  walk.shares = shares;
  ask_for_next(walk, batch);
  if (one_sequence) {
    const Walk::Begin own = share();
    b_.set(walk.skipped, own.skipped);
    b_.set(walk.left, own.left);
  }
  return walk;
}

sim::Program AttentionProgram::write_decode(const Batch& batch) {
  turns_ = b_.integer("turns");
  std::optional<KeyShares> shares;
  Value parts = 0;
  if (form_.shares) {
    shares.emplace(b_, batch.lengths, sequences_, form_.key_shares());
    parts = shares->parts();
    partials_ = b_.pointer("partials");
    partial_rows_ = b_.integer("partial_rows");
    all_heads_ = b_.integer("heads");
    parts_ = parts;
  } else {
    parts = b_.integer("parts");
  }
  stride_ = form_.shares ? Value(1) : parts;
  declare_tiles();
  Arrival even, odd;
  declare_arrival(even, "");
  declare_arrival(odd, "_odd");

  heads_ = group_;
  Walk walk = begin_walk(shares ? &*shares : nullptr, batch);
  enter_sequence(walk, batch);
  const auto leave_at_end = [&] {
    b_.break_if((walk.now.count & walk.next.count & walk.later.count & walk.lead.count) < 0);
  };
  b_.loop(kUnlimited, [&](const Value&) {
    take_step(walk, batch, even, odd);
    leave_at_end();
    take_step(walk, batch, odd, even);
    leave_at_end();
  });
  close_turn(walk);
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

// The length and the tokens of the sequence that is to be entered next.
void AttentionProgram::ask_for_next(const Walk& walk, const Batch& batch) {
  const Value sequence = b_.min(walk.sequence, sequences_ - 1);
  b_.set(walk.next_length, batch.lengths.load(sequence));
  b_.set(walk.next_start, batch.starts.load(sequence));
  b_.set(walk.next_end, batch.starts.load(sequence + 1));
}

// Makes `lead` the first step of the next sequence, if there is one.
void AttentionProgram::enter_sequence(Walk& walk, const Batch& batch) {
  const Step& lead = walk.lead;
  const auto enter = [&] {
    const Value length = walk.next_length + 0;  // a copy
    b_.set(lead.turn.code, b_.pid() % head_chunks_ * turns_ * 2 + 1);
    b_.set(lead.turn.start, walk.next_start);
    b_.set(lead.turn.tokens, b_.min(walk.next_end - walk.next_start, tokens_each_));
    const Value number = walk.sequence + 0;
    b_.set(walk.sequence, walk.sequence + stride_);
    ask_for_next(walk, batch);
    b_.set(lead.turn.last_key, form_.causal ? length - lead.turn.tokens : length - 1);
    b_.set(walk.begin, 0);
    if (form_.window) {
      // Keys before the window are hidden, as those are that only later rows do not see.
      b_.set(walk.begin, b_.max(lead.turn.last_key - window_ + 1, 0) / form_.run * form_.run);
    }
    const Value any_tokens = Value(0) < lead.turn.tokens;
    b_.set(walk.end, b_.select(any_tokens, b_.max(length, walk.begin), walk.begin));
    if (!form_.shares) return;
    const Value units = walk.shares->units(length);
    const Value taken = b_.min(units - walk.skipped, walk.left);
    const Value until = walk.skipped + taken;
    const Value part_end = walk.begin + until * kKeysOfUnit;
    b_.set(walk.end, b_.select(until == units, walk.end, b_.min(walk.end, part_end)));
    const Value is_first = walk.skipped == 0;
    b_.set(lead.turn.place, b_.select(taken == units, -1, (part() + number) * 2 + is_first));
    b_.set(walk.begin, b_.min(walk.begin + walk.skipped * kKeysOfUnit, walk.end));
    b_.set(walk.left, walk.left - taken);
    b_.set(walk.skipped, 0);
  };
  const auto end = [&] {
    b_.set(lead.turn.code, (turns_ - 1) * 2);
    b_.set(walk.begin, 0);
    b_.set(walk.end, -1);
  };
  b_.if_(form_.shares ? Value(0) < walk.left : walk.sequence < sequences_, enter, end);
  // Ranges of equal length: short ones leave the memory idle.
  const Value keys = walk.end - walk.begin;
  const Value ranges = b_.max(b_.ceil_div(keys, keys_each_), 1);
  b_.set(walk.each, b_.ceil_div(keys, ranges * form_.run) * form_.run);
  b_.set(lead.first, walk.begin);
  b_.set(lead.count, b_.min(walk.each, keys));
}

// Makes `lead` the step after it.
void AttentionProgram::advance(Walk& walk, const Batch& batch) {
  const Step& lead = walk.lead;
  const Value first = lead.first + walk.each;
  const auto of_turn = [&] {
    b_.set(lead.first, first);
    b_.set(lead.turn.code, lead.turn.code & -2);
    b_.set(lead.count, b_.min(walk.each, walk.end - first));
  };
  const auto of_sequence = [&] {
    b_.set(lead.turn.code, (lead.turn.code | 1) + 2);
    b_.set(lead.first, walk.begin);
    b_.set(lead.count, b_.min(walk.each, walk.end - walk.begin));
  };
  b_.if_(first < walk.end, of_turn, [&] {
    b_.if_((lead.turn.number() + 1) % turns_ != 0, of_sequence,
           [&] { enter_sequence(walk, batch); });
  });
}

void AttentionProgram::fetch_step(const Batch& batch, const Step& step, const Arrival& into) {
  const Value first = step.turn.number() * form_.kv_heads;
  for (size_t i = 0; i < into.keys.size(); ++i) {
    batch.load(into.keys[i], into.values[i], first + static_cast<int64_t>(i));
  }
}

// Makes the blocks those of the turn, and says where its queries and results lie.
AttentionProgram::Sequence AttentionProgram::select(const Turn& turn) {
  turn_ = turn.number();
  const Value rows = turn.tokens * heads_;
  for (Block& block : blocks_) {
    block.token = 0;
    block.tokens = turn.tokens;
    block.rows = rows;
    block.last_key = turn.last_key;
  }
  takes_sinks_ = form_.shares && form_.sinks ? turn.place & 1 : Value(1);
  return {turn.tokens, 0, turn.start * q_token_, turn.start * out_token_};
}

void AttentionProgram::close_turn(const Walk& walk) {
  const Turn& turn = walk.open;
  b_.if_(Value(0) < turn.tokens, [&] {
    const Sequence sequence = select(turn);
    const auto whole = [&] {
      for (const Block& block : blocks_) finish_rows(block, sequence);
    };
    if (!form_.shares) {
      whole();
      return;
    }
    b_.if_(turn.place < 0, whole, [&] {
      const Value place = turn.place / 2;
      for (const Block& block : blocks_) store_partials(block, place);
    });
  });
}

void AttentionProgram::take_step(Walk& walk, const Batch& batch, const Arrival& arrived,
                                 const Arrival& arriving) {
  const auto& [now, next, later, lead] = std::tie(walk.now, walk.next, walk.later, walk.lead);
  const Range keys = {now.first, now.count};
  b_.if_(Value(0) < next.count, [&] { fetch_step(batch, next, arriving); });
  b_.if_(Value(0) < now.count, [&] {
    select(now.turn);
    for (const Block& block : blocks_) make_scores(block, keys, own_keys(block, arrived, keys));
  });
  b_.if_(Value(0) < later.count, [&] { batch.locate(later.first, later.count); });
  b_.if_(Value(0) < lead.count,
         [&] { batch.load_table(walk.sequence - stride_, lead.first, lead.count); });
  b_.if_(now.turn.begins(), [&] {
    close_turn(walk);
    walk.open.set(b_, now.turn);
    b_.if_(Value(0) < now.turn.tokens, [&] {
      select(now.turn);
      for (const Block& block : blocks_) start_rows(block);
    });
  });
  b_.if_(next.turn.begins() & (Value(0) < next.turn.tokens), [&] {
    const Sequence sequence = select(next.turn);
    for (const Block& block : blocks_) load_queries(block, sequence);
  });
  b_.if_(Value(0) < now.count, [&] {
    select(now.turn);
    for (const Block& block : blocks_) {
      // Before the scores are there: what the values arrived in is free for the step after the
      // next.
      const Tile values = own_values(block, arrived, keys);
      finish_scores(block, keys);
      make_weights(block);
      update_rows(block);
      add_values(block, keys, values);
    }
  });
  now.set(b_, next);
  next.set(b_, later);
  later.set(b_, lead);
  advance(walk, batch);
}

// Sums [places, rows, value_dim], then offsets and totals [places, rows]; a row is a token and a
// head.
void AttentionProgram::store_partials(const Block& block, const Value& place) {
  const Value at = place * partial_rows_ + head(block);
  const Value statistics = (parts_ + sequences_) * partial_rows_;
  const auto store = [&](const Value& offset, const Tile& tile, const Value& dim) {
    b_.store(partials_, offset,
             Region({{block.tokens, all_heads_ * dim}, {heads_, dim}}, {{dim, 1}}), tile);
  };
  store(at * value_dim_, block.sum, value_dim_);
  store(statistics * value_dim_ + at, block.offset, 1);
  store(statistics * (value_dim_ + 1) + at, block.total, 1);
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
