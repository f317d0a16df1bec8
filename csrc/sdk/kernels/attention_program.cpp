#include "csrc/sdk/kernels/attention_program.h"

#include <fmt/format.h>

#include <functional>
#include <limits>
#include <numbers>
#include <utility>

#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/tile_walk.h"

namespace npu::kernels {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The lowest score of a row that has seen nothing. Finite, so that differences of such rows are
// numbers, and as low as an additive mask may be.
double lowest(DType compute) {
  return compute == DType::f64 ? std::numeric_limits<double>::lowest()
                               : std::numeric_limits<float>::lowest();
}

}  // namespace

AttentionProgram::AttentionProgram(std::string name, const sim::Machine& machine,
                                   const AttentionForm& form)
    : form_(form), b_(std::move(name), machine) {
  declare_arguments();
  if (!form_.decode) take_program();
}

void AttentionProgram::take_program() {
  const Value number = form_.causal ? balanced_order() : b_.pid();
  const Value rest = number / head_chunks_;
  const Value chunk = number % head_chunks_;
  sequence_ = rest % sequences_;
  tile_ = rest / sequences_;
  // Of causal tiles the last see most keys.
  if (form_.causal) tile_ = query_tiles_ - 1 - tile_;
  kv_head_ = chunk / chunks_;
  const Value first = chunk % chunks_ * heads_each_;  // within the group
  head_ = kv_head_ * group_ + first;
  heads_ = b_.min(heads_each_, group_ - first);
}

// Program ids, every other round of the cores backwards: where work falls from one program to the
// next, all cores get as much.
Value AttentionProgram::balanced_order() {
  const int64_t cores = b_.machine().core.count;
  const Value round = b_.pid() / cores * cores;
  const Value place = b_.pid() - round;
  const Value last = b_.min(cores, b_.grid() - round) - 1;
  return round + b_.select(round / cores % 2, last - place, place);
}

void AttentionProgram::declare_arguments() {
  q_ = b_.pointer("q");
  k_ = b_.pointer("k");
  v_ = b_.pointer("v");
  out_ = b_.pointer("out");
  head_dim_ = b_.integer("head_dim");
  value_dim_ = b_.integer("value_dim");
  q_token_ = b_.integer("q_token_stride");
  q_head_ = b_.integer("q_head_stride");
  out_token_ = b_.integer("out_token_stride");
  out_head_ = b_.integer("out_head_stride");
  group_ = b_.integer("group");
  heads_each_ = b_.integer("heads_each");
  chunks_ = b_.integer("chunks");
  head_chunks_ = b_.integer("head_chunks");
  sequences_ = b_.integer("sequences");
  query_tiles_ = b_.integer("query_tiles");
  tokens_each_ = b_.integer("tokens_each");
  keys_each_ = b_.integer("keys_each");
  if (form_.window) window_ = b_.integer("window");
  factor_ = b_.real("factor");
  minus_factor_ = b_.real("minus_factor");
  if (form_.soft_cap) before_cap_ = b_.real("before_cap");
  if (form_.natural) after_cap_ = b_.real("after_cap");
  if (form_.mask != AttentionForm::Mask::none) {
    mask_ = b_.pointer("mask");
    mask_stride_ = {b_.integer("mask_batch_stride"), b_.integer("mask_head_stride"),
                    b_.integer("mask_token_stride"), b_.integer("mask_key_stride")};
    mask_rows_ = b_.integer("mask_rows");
    mask_cols_ = b_.integer("mask_cols");
  }
  if (form_.logsumexp) {
    logsumexp_ = b_.pointer("logsumexp");
    logsumexp_stride_ = {b_.integer("lse_batch_stride"), b_.integer("lse_head_stride"),
                         b_.integer("lse_token_stride")};
  }
  if (form_.sinks) {
    sinks_ = b_.pointer("sinks");
    sink_stride_ = b_.integer("sink_stride");
  }
}

void AttentionProgram::declare_tiles() {
  const int64_t keys = form_.keys;
  if (!form_.decode || form_.in_parts()) {
    k_tile_ = b_.tile("tk", form_.type, keys * form_.head_dim, form_.buffers);
    v_tile_ = b_.tile("tv", form_.type, keys * form_.value_dim, form_.buffers);
  }
  if (form_.causal) {
    visible_ = b_.tile("visible", DType::b8, form_.rows * keys);
    key_numbers_ = b_.tile("key_numbers", DType::i32, keys);
  }
  blocks_.resize(static_cast<size_t>(form_.blocks));
  for (int i = 0; i < form_.blocks; ++i) {
    blocks_[static_cast<size_t>(i)].number = i;
    declare_block(blocks_[static_cast<size_t>(i)]);
  }
}

void AttentionProgram::declare_block(Block& block) {
  const DType compute = form_.compute();
  const int64_t rows = form_.rows;
  const int64_t scores = rows * form_.keys;
  const int64_t results = rows * form_.value_dim;
  const int buffers = form_.buffers;
  const auto tile = [&](const char* name, DType type, int64_t capacity, int copies = 1) {
    const std::string full = form_.blocks == 1 ? name : fmt::format("{}{}", name, block.number);
    return b_.tile(full, type, capacity, copies);
  };
  const int turns = form_.decode ? 2 : 1;
  block.q = tile("tq", form_.type, rows * form_.head_dim, turns);
  block.scores = tile("scores", compute, scores, buffers);
  block.weights = tile("weights", form_.type, scores, buffers);
  block.sum = tile("sum", compute, results);
  block.result = tile("result", form_.out, results);
  block.peak = tile("peak", compute, rows);
  block.offset = tile("offset", compute, rows);
  block.next_offset = tile("next_offset", compute, rows);
  block.decay = tile("decay", compute, rows);
  block.part = tile("part", compute, rows);
  block.total = tile("total", compute, rows);
  if (form_.mask != AttentionForm::Mask::none) {
    block.mask = tile("mask_tile", form_.mask_type, scores, buffers);
  }
  if (form_.causal) {
    block.last_keys = tile("last_keys", DType::i32, rows);
    if (form_.window) block.first_keys = tile("first_keys", DType::i32, rows);
  }
  if (form_.sinks) block.sinks = tile("sink", form_.sink_type, rows, turns);
  if (form_.logsumexp) block.logsumexp = tile("lse", DType::f32, rows);
}

// ---- The program --------------------------------------------------------------------------------

sim::Program AttentionProgram::write(const Sequence& sequence, const Load& load_keys,
                                     const Load& load_values) {
  declare_tiles();
  locate_blocks(sequence);
  load_queries(blocks_[0], sequence);
  b_.if_(Value(0) < ranges_, [&] {
    const Range first = range(0);
    load_keys(k_tile_, first.first, first.count);
  });
  for (const Block& block : blocks_) {
    if (block.number > 0) b_.if_(block.active, [&] { load_queries(block, sequence); });
    b_.if_(block.active, [&] { start_rows(block); });
  }
  walk_in_turns(load_keys, load_values);
  for (const Block& block : blocks_) {
    b_.if_(block.active, [&] { finish_rows(block, sequence); });
  }
  return b_.finish();
}

// The scores of a block's next range are asked of the matrix engine before it adds the values of
// the present one, so that it has work while the vector engine computes weights. Keys and values
// are loaded as early as the names of their tiles are free.
void AttentionProgram::walk_in_turns(const Load& load_keys, const Load& load_values) {
  const auto if_any = [&](const Value& number, const std::function<void(const Range&)>& body) {
    b_.if_(number < ranges_, [&] { body(range(number)); });
  };
  const auto load_k = [&](const Range& keys) { load_keys(k_tile_, keys.first, keys.count); };
  const auto load_v = [&](const Range& keys) { load_values(v_tile_, keys.first, keys.count); };
  if_any(0, [&](const Range& first) {
    for (const Block& block : blocks_) {
      b_.if_(sees(block, first), [&] { make_scores(block, first, k_tile_); });
    }
    load_v(first);
  });
  if_any(1, load_k);
  b_.loop(ranges_, [&](const Value& number) {
    const Range now = range(number);
    const Range next = range(number + 1);
    const Value goes_on = number + 1 < ranges_;
    for (const Block& block : blocks_) {
      const Value seen = sees(block, now);
      b_.if_(seen, [&] {
        finish_scores(block, now);
        make_weights(block);
      });
      b_.if_(goes_on & sees(block, next), [&] { make_scores(block, next, k_tile_); });
      b_.if_(seen, [&] {
        update_rows(block);
        add_values(block, now, v_tile_);
      });
    }
    if_any(number + 1, load_v);
    if_any(number + 2, load_k);
  });
}

void AttentionProgram::locate_blocks(const Sequence& sequence) {
  const Value first = tile_ * tokens_each_ * form_.blocks;
  b_.if_(sequence.query_len <= first, [&] { b_.exit(); });
  for (Block& block : blocks_) {
    block.token = first + tokens_each_ * block.number;
    block.tokens = b_.min(tokens_each_, sequence.query_len - block.token);
    block.rows = block.tokens * heads_;
    if (block.number > 0) block.active = Value(0) < block.tokens;
    block.end = sequence.key_len;
    block.last_key = sequence.key_len - 1;
    if (form_.causal) {
      block.last_key = block.token + (sequence.key_len - sequence.query_len);
      block.end = block.last_key + block.tokens;
    }
    if (form_.window) block.begin = b_.max(block.last_key - window_ + 1, 0);
    end_ = block.number == 0 ? block.end : b_.select(block.active, block.end, end_);
  }
  begin_ = blocks_[0].begin;
  ranges_ = b_.ceil_div(b_.max(end_ - begin_, 0), keys_each_);
}

AttentionProgram::Range AttentionProgram::range(const Value& number) {
  const Value first = begin_ + number * keys_each_;
  return {first, b_.min(keys_each_, end_ - first)};
}

// Whether any row of the block sees any key of the range.
Value AttentionProgram::sees(const Block& block, const Range& range) {
  if (!form_.causal || form_.blocks == 1) return block.active;
  const Value before_end = block.active & (range.first < block.end);
  return form_.window ? before_end & (block.begin < range.first + range.count) : before_end;
}

// Made where it is used: blocks of KV heads may be too many for a register each.
Value AttentionProgram::head(const Block& block) {
  return form_.decode ? (turn_ * form_.kv_heads + block.number) * group_ : head_;
}

void AttentionProgram::load_queries(const Block& block, const Sequence& sequence) {
  b_.load(block.q, q_, sequence.q_offset + head(block) * q_head_ + block.token * q_token_,
          Region({{block.tokens, q_token_}, {heads_, q_head_}}, {{head_dim_, 1}}));
  if (!form_.sinks) return;
  b_.load(block.sinks, sinks_, head(block) * sink_stride_,
          Region({{block.tokens, 0}, {heads_, sink_stride_}}, {{1, 1}}));
}

void AttentionProgram::start_rows(const Block& block) {
  if (form_.causal) {
    b_.iota(block.last_keys, block.last_key, 0, 1, block.tokens, heads_);
    b_.reshape(block.last_keys, block.rows, 1);
    if (form_.window) b_.vector(BinaryFn::sub, block.first_keys, block.last_keys, window_);
  }
  const auto nothing = [&] {
    b_.fill(block.offset, -lowest(form_.compute()), block.rows, 1);
    b_.fill(block.total, 0.0, block.rows, 1);
  };
  // A sink is a logit that the row has seen already.
  const auto sink = [&] {
    b_.vector(BinaryFn::mul, block.offset, block.sinks,
              form_.natural ? -1.0 : -std::numbers::log2e);
    // Of -inf, too, differences must be numbers.
    b_.vector(BinaryFn::min, block.offset, block.offset, -lowest(form_.compute()));
    b_.fill(block.total, 1.0, block.rows, 1);
  };
  if (form_.sinks) {
    b_.if_(takes_sinks_, sink, nothing);
  } else {
    nothing();
  }
  b_.fill(block.sum, 0.0, block.rows, value_dim_);
}

void AttentionProgram::make_scores(const Block& block, const Range& range, const Tile& keys) {
  if (form_.mask != AttentionForm::Mask::none) {
    const auto& stride = mask_stride_;
    b_.load(block.mask, mask_,
            sequence_ * stride[0] + head(block) * stride[1] + block.token * stride[2] +
                range.first * stride[3],
            Region({{b_.min(block.tokens, mask_rows_), stride[2]},
                    {b_.min(heads_, mask_rows_), stride[1]}},
                   {{b_.min(range.count, mask_cols_), stride[3]}}));
  }
  if (form_.causal) {
    b_.mma(block.scores, block.q, keys, {.zero = true, .transpose_b = true},
           useful(block, range).scores);
  } else {
    b_.mma(block.scores, block.q, keys, {.zero = true, .transpose_b = true});
  }
}

// Scores as the softmax takes them: capped, masked, scaled in the natural form.
void AttentionProgram::finish_scores(const Block& block, const Range& range) {
  const Tile& scores = block.scores;
  if (form_.soft_cap) {
    b_.vector(BinaryFn::mul, scores, scores, before_cap_);
    b_.vector(UnaryFn::tanh, scores, scores);
  }
  if (form_.mask == AttentionForm::Mask::additive) {
    b_.vector(TernaryFn::fma, scores, scores, after_cap_, block.mask);
  } else if (form_.natural) {
    b_.vector(BinaryFn::mul, scores, scores, after_cap_);
  }
  if (form_.mask == AttentionForm::Mask::boolean) {
    b_.vector(TernaryFn::where, scores, block.mask, scores, -kInfinity);
  }
  if (form_.causal) hide(block, range);
}

// Only ranges on an edge of what the rows see pay for it.
void AttentionProgram::hide(const Block& block, const Range& range) {
  const auto compare = [&](BinaryFn fn, const Tile& bound) {
    b_.iota(key_numbers_, range.first, 1, 0, 1, range.count);
    b_.vector(fn, visible_, key_numbers_, bound);
    b_.vector(TernaryFn::where, block.scores, visible_, block.scores, -kInfinity);
  };
  b_.if_(block.last_key + 1 < range.first + range.count,
         [&] { compare(BinaryFn::le, block.last_keys); });
  if (!form_.window) return;
  b_.if_(range.first + window_ < block.last_key + block.tokens,
         [&] { compare(BinaryFn::gt, block.first_keys); });
}

// weights = exp(scores - peak), with the row's highest score so far as its peak. `offset` is the
// peak's negative, in the exponent's units.
void AttentionProgram::make_weights(const Block& block) {
  b_.reduce(ReduceFn::max, block.peak, block.scores);
  b_.vector(BinaryFn::mul, block.peak, block.peak, minus_factor_);
  b_.vector(BinaryFn::min, block.next_offset, block.offset, block.peak);
  b_.vector(TernaryFn::fma, block.scores, block.scores, factor_, block.next_offset);
  b_.vector(BinaryFn::sub, block.decay, block.next_offset, block.offset);
  b_.vector(UnaryFn::copy, block.offset, block.next_offset);
  // Rounded to the values' type before they are summed: what is multiplied adds up to one.
  b_.vector(form_.natural ? UnaryFn::exp : UnaryFn::exp2, block.weights, block.scores);
}

// Earlier sums shrink by as much as the peak has risen.
void AttentionProgram::update_rows(const Block& block) {
  b_.vector(form_.natural ? UnaryFn::exp : UnaryFn::exp2, block.decay, block.decay);
  b_.reduce(ReduceFn::sum, block.part, block.weights);
  b_.vector(BinaryFn::mul, block.sum, block.sum, block.decay);
  b_.vector(TernaryFn::fma, block.total, block.total, block.decay, block.part);
}

void AttentionProgram::add_values(const Block& block, const Range& range, const Tile& values) {
  if (form_.causal) {
    b_.mma(block.sum, block.weights, values, {}, useful(block, range).values);
  } else {
    b_.mma(block.sum, block.weights, values, {});
  }
}

void AttentionProgram::finish_rows(const Block& block, const Sequence& sequence) {
  // A row that saw nothing has a sum and a total of 0.
  b_.vector(TernaryFn::where, block.part, block.total, block.total, 1.0);
  b_.vector(UnaryFn::recip, block.part, block.part);
  b_.vector(BinaryFn::mul, block.result, block.sum, block.part);
  b_.store(out_, sequence.out_offset + head(block) * out_head_ + block.token * out_token_,
           Region({{block.tokens, out_token_}, {heads_, out_head_}}, {{value_dim_, 1}}),
           block.result);
  if (!form_.logsumexp) return;
  b_.vector(UnaryFn::log, block.part, block.total);
  b_.vector(TernaryFn::fma, block.logsumexp, block.offset,
            form_.natural ? -1.0 : -std::numbers::ln2, block.part);
  const auto& stride = logsumexp_stride_;
  b_.store(logsumexp_, sequence_ * stride[0] + head(block) * stride[1] + block.token * stride[2],
           Region({{block.tokens, stride[2]}, {heads_, stride[1]}}, {{1, 1}}), block.logsumexp);
}

// ---- Useful work --------------------------------------------------------------------------------

// Pairs of a row and a key of the range that it sees: sums of arithmetic series, cut off at 0 and
// at the number of keys.
Value AttentionProgram::visible_pairs(const Block& block, const Range& range) {
  const Value& n = range.count;
  const auto rising = [&](const Value& x) {  // sum of clamp(i, 0, n) for i <= x
    const Value y = b_.max(b_.min(x, n), 0);
    return y * (y + 1) / 2 + b_.max(x - n, 0) * n;
  };
  const auto below = [&](const Value& first_row) {  // first_row: keys before the first row's bound
    return rising(first_row + block.tokens - 1) - rising(first_row - 1);
  };
  const Value first_row = block.last_key + 1 - range.first;
  const Value seen = below(first_row);
  return heads_ * (form_.window ? seen - below(first_row - window_) : seen);
}

// An instruction counts whole outputs, and an output of the second product stands for as many pairs
// as the range has keys. The first product, whose outputs are single pairs, makes up the
// difference: to the last pair where both head dimensions are equal, else to within one output.
AttentionProgram::Useful AttentionProgram::useful(const Block& block, const Range& range) {
  const Value pairs = visible_pairs(block, range);
  const Value full = (pairs + range.count / 2) / range.count;  // rows, were they filled one by one
  const Value rest = (pairs - full * range.count) * value_dim_ / head_dim_;
  const Value scores = b_.max(b_.min(pairs + rest, block.rows * range.count), 0);
  return {scores, full * value_dim_};
}

}  // namespace npu::kernels
