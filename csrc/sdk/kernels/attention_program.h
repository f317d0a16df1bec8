// What all forms of attention share: the checks of heads and options, the tile sizes, and the
// program that runs a block of query rows past a range of keys with a running softmax.
//
// A program id owns (query tile, sequence, heads): the query heads that read one KV head stand
// together in the rows of a block, tokens outermost, so that keys and values are read once for all
// of them. Two blocks of a program take turns: the matrix engine multiplies for one while the
// vector engine works on the other's scores. The front ends (dense, varlen, paged) say where a
// sequence's queries and keys lie. Programs for the decode steps of paged caches are walked another
// way: see attention_decode.cpp.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "csrc/sdk/builder/builder.h"
#include "csrc/sdk/kernels/arguments.h"
#include "csrc/sdk/kernels/key_shares.h"
#include "csrc/sdk/kernels/sequence_table.h"
#include "npu/kernels/attention.h"

namespace npu::kernels {

// What distinguishes one attention program from another, front ends apart.
struct AttentionForm {
  enum class Mask : uint8_t { none, boolean, additive };

  sim::DType type = sim::DType::f32;  // of q, k and v
  sim::DType out = sim::DType::f32;
  sim::DType sink_type = sim::DType::f32;
  sim::DType mask_type = sim::DType::b8;
  Mask mask = Mask::none;
  bool causal = false;
  bool window = false;
  bool soft_cap = false;
  bool sinks = false;
  bool logsumexp = false;
  // Powers of e over finished logits, instead of powers of 2 with the scale folded into them. For
  // additive masks, whose lowest finite values must not overflow, and for scales below zero.
  bool natural = false;
  bool paged = false;  // tiles for the keys' indices are needed

  // One block has all rows of a KV head and walks through a paged cache: see write_decode().
  bool decode = false;
  // Programs get equal shares of the keys of all sequences, so that they may see a part of one's
  // and leave a partial result: see combine_attention().
  bool shares = false;
  int64_t only_lot = 0;       // KeySharesForm
  bool pairs = false;         // a value lies beside its key: both are fetched at once
  bool side_by_side = false;  // the program's KV heads are: a key of all of them is one run

  // Capacities. Head dimensions are rounded up, so that few programs serve many.
  int64_t head_dim = 0;
  int64_t value_dim = 0;
  int64_t rows = 0;  // of a block
  int64_t keys = 0;
  int blocks = 1;    // of successive tokens; of a decode program one for each of kv_heads
  int kv_heads = 1;  // that a program takes at a time
  int64_t run = 1;   // keys of a cache's block that are fetched together
  int buffers = 2;

  sim::DType compute() const { return type == sim::DType::f64 ? sim::DType::f64 : sim::DType::f32; }
  // Whether a KV head's keys and values are parts of what is fetched.
  bool in_parts() const { return pairs || run > 1 || side_by_side; }
  KeySharesForm key_shares() const { return {.bounded = window, .only_lot = only_lot}; }
  // Five numbers for a KernelKey.
  std::array<int64_t, 5> key() const;
};

// A view of q, k, v or out with its token and head dimensions: [.., H, .., L, .., D].
struct HeadsView {
  const Tensor* tensor = nullptr;
  int token_dim = 0;
  int head_dim = 0;

  int64_t heads() const { return tensor->sizes[head_dim]; }
  int64_t dim() const { return tensor->sizes[tensor->rank - 1]; }
  int64_t token_stride() const { return tensor->strides[token_dim]; }
  int64_t head_stride() const { return tensor->strides[head_dim]; }
};

// One call, checked and planned.
struct AttentionCall {
  std::string_view kernel;  // for messages
  HeadsView out, q, k, v;
  AttentionOptions options;
  int64_t sequences = 0;
  int64_t query_len = 0;  // longest
  int64_t key_len = 0;    // longest that is possible; 0 if the host does not know

  // Set by plan_attention().
  AttentionForm form;
  int64_t group = 1;        // query heads of a KV head
  int64_t heads_each = 1;   // of a program
  int64_t tokens_each = 1;  // of a block
  int64_t head_chunks = 1;  // programs side by side for one query tile
  int64_t query_tiles = 1;
  // Of decode programs: those that divide the sequences among them for the same heads, and how
  // often each takes form.kv_heads.
  int64_t parts = 1;
  int64_t turns = 1;
  int64_t least_units = 1;  // KeyShares: what a sequence costs a program, be it ever so short

  // Where partial results of shared sequences go: a place for each part and for each sequence, and
  // in it a row for each token and query head.
  void* partials = nullptr;
  int64_t partial_rows() const { return query_len * q.heads(); }
  int64_t partial_bytes(int64_t parts) const {
    return (parts + sequences) * partial_rows() * (out.dim() + 2) * sim::size_of(form.compute());
  }
  // Fills heads_each to query_tiles.
  void divide();

  // Keys that a sequence's queries see, at most.
  int64_t most_keys() const;

  int64_t grid() const {
    return form.decode ? parts * head_chunks : head_chunks * sequences * query_tiles;
  }
};

// A call on packed queries [T, H, D] and results; where keys and values lie is left to be said.
AttentionCall packed_call(std::string_view kernel, const Tensor& out, const Tensor& q,
                          const AttentionOptions& options, int64_t sequences,
                          int64_t max_query_len);

// Dtypes, head counts, head dimensions, unit last strides and options of a call; ranks and token
// counts are the front end's.
npuStatus check_attention(const AttentionCall& call);

// Fills form (its mask and logsumexp are already set) and the grid. NPU_ERROR_UNIMPLEMENTED where
// even one row and one key of such a head dimension exceed the scratchpad.
npuStatus plan_attention(const sim::Machine& machine, AttentionCall& call);

// Causal, bf16, heads of 128 elements, long prompts.
AttentionForm representative_attention(const sim::Machine& machine, bool paged = false);

// The arguments that AttentionProgram declares, in its order. `mask` and `logsumexp` may be
// undefined; mask has rank 4, logsumexp rank 3.
void pass_attention(Arguments& args, const AttentionCall& call, const Tensor& mask,
                    const Tensor& logsumexp);
void pass_decode(Arguments& args, const AttentionCall& call);

class AttentionProgram {
 public:
  // Declares the arguments of pass_attention().
  AttentionProgram(std::string name, const sim::Machine& machine, const AttentionForm& form);

  sdk::Builder& builder() { return b_; }
  const sdk::Value& sequence() const { return sequence_; }
  const sdk::Value& kv_head() const { return kv_head_; }  // the first
  const sdk::Value& head_dim() const { return head_dim_; }
  const sdk::Value& value_dim() const { return value_dim_; }
  const sdk::Value& query_token_stride() const { return q_token_; }
  const sdk::Value& out_token_stride() const { return out_token_; }
  sdk::Pointer k() const { return k_; }
  sdk::Pointer v() const { return v_; }
  // Within Load: of the keys that any row sees, and of one range.
  const sdk::Value& keys_begin() const { return begin_; }
  const sdk::Value& keys_end() const { return end_; }
  const sdk::Value& keys_each() const { return keys_each_; }

  // The sequence as the front end found it. Offsets count elements and point to token 0, head 0.
  struct Sequence {
    sdk::Value query_len;
    sdk::Value key_len;
    sdk::Value q_offset;
    sdk::Value out_offset;
  };
  // Loads `count` keys (values) from number `first` on into the tile, of shape [count, elements]. A
  // range's keys are asked for before its values, its values before the next range's keys.
  using Load =
      std::function<void(const sdk::Tile&, const sdk::Value& first, const sdk::Value& count)>;

  sim::Program write(const Sequence& sequence, const Load& load_keys, const Load& load_values);

  // How a decode program comes by its sequences, and by the keys and values of a range, which
  // begins at a multiple of form.run.
  struct Batch {
    const SequenceTable& starts;
    const SequenceTable& lengths;
    // The part of a sequence's block table that locate() needs for the range.
    std::function<void(const sdk::Value& sequence, const sdk::Value& first,
                       const sdk::Value& count)>
        load_table;
    // Where the range lies, by the part of the table that was loaded last.
    std::function<void(const sdk::Value& first, const sdk::Value& count)> locate;
    // The range that was located last, of form.kv_heads heads from this one on if they stand side
    // by side, else of this one. Where a value lies beside its key, `keys` takes both.
    std::function<void(const sdk::Tile& keys, const sdk::Tile& values, const sdk::Value& kv_head)>
        load;
  };
  // Declares the arguments of pass_decode(), as the last ones.
  sim::Program write_decode(const Batch& batch);

 private:
  struct Range {  // of keys
    sdk::Value first = 0;
    sdk::Value count = 0;
  };
  struct Useful {  // outputs of the two products
    sdk::Value scores = 0;
    sdk::Value values = 0;
  };
  struct Block {
    int number = 0;
    sdk::Value token = 0, tokens = 0, rows = 0;  // the first token, their number
    sdk::Value active = 1;                       // any tokens?
    sdk::Value last_key = 0;                     // of the first token (causal)
    sdk::Value begin = 0, end = 0;               // of the keys that any row sees

    sdk::Tile q, scores, weights, mask;
    sdk::Tile last_keys, first_keys;                          // [rows, 1], of each row (causal)
    sdk::Tile peak, offset, next_offset, decay, part, total;  // [rows, 1]
    sdk::Tile sum, result, sinks, logsumexp;
  };

  void declare_arguments();
  void declare_tiles();
  void declare_block(Block& block);
  sdk::Value balanced_order();
  void take_program();
  void locate_blocks(const Sequence& sequence);
  sdk::Value head(const Block& block);  // the first query head
  void load_queries(const Block& block, const Sequence& sequence);
  void start_rows(const Block& block);
  Range range(const sdk::Value& number);
  sdk::Value sees(const Block& block, const Range& range);
  Useful useful(const Block& block, const Range& range);
  sdk::Value visible_pairs(const Block& block, const Range& range);
  void walk_in_turns(const Load& load_keys, const Load& load_values);
  void make_scores(const Block& block, const Range& range, const sdk::Tile& keys);
  void finish_scores(const Block& block, const Range& range);
  void hide(const Block& block, const Range& range);
  void make_weights(const Block& block);
  void update_rows(const Block& block);
  void add_values(const Block& block, const Range& range, const sdk::Tile& values);
  void finish_rows(const Block& block, const Sequence& sequence);

  // Of decode programs.
  struct Turn;
  struct Step;
  struct Walk;
  struct Arrival {  // tiles that a step's keys and values are fetched into
    std::vector<sdk::Tile> keys, values;
  };
  struct Columns {  // of what was fetched for a KV head
    sdk::Value of_head = 0;
    sdk::Value first = 0;
    sdk::Value count = 0;
  };
  void declare_arrival(Arrival& arrival, const char* suffix);
  sdk::Value part();
  Walk begin_walk(const KeyShares* shares, const Batch& batch);
  void advance(Walk& walk, const Batch& batch);
  void enter_sequence(Walk& walk, const Batch& batch);
  void ask_for_next(const Walk& walk, const Batch& batch);
  void take_step(Walk& walk, const Batch& batch, const Arrival& now, const Arrival& next);
  void fetch_step(const Batch& batch, const Step& step, const Arrival& into);
  void close_turn(const Walk& walk);
  Sequence select(const Turn& turn);
  void store_partials(const Block& block, const sdk::Value& place);
  sdk::Tile own_keys(const Block& block, const Arrival& arrival, const Range& range);
  sdk::Tile own_values(const Block& block, const Arrival& arrival, const Range& range);
  void part_runs(const Block& block, const std::vector<sdk::Tile>& arrived, const sdk::Value& width,
                 const Range& range);
  void cut_out(const Block& block, const std::vector<sdk::Tile>& arrived, const sdk::Tile& part,
               const Range& range, const Columns& columns);

  AttentionForm form_;
  sdk::Builder b_;

  sdk::Pointer q_, k_, v_, out_, mask_, logsumexp_, sinks_, partials_;
  sdk::Value head_dim_ = 0, value_dim_ = 0;
  sdk::Value q_token_ = 0, q_head_ = 0, out_token_ = 0, out_head_ = 0;
  sdk::Value group_ = 0, heads_each_ = 0, chunks_ = 0, head_chunks_ = 0;
  sdk::Value sequences_ = 0, query_tiles_ = 0, tokens_each_ = 0, keys_each_ = 0;
  sdk::Value window_ = 0, sink_stride_ = 0;
  std::array<sdk::Value, 4> mask_stride_ = {0, 0, 0, 0};
  sdk::Value mask_rows_ = 0, mask_cols_ = 0;
  std::array<sdk::Value, 3> logsumexp_stride_ = {0, 0, 0};
  sdk::Value turns_ = 1, turn_ = 0;
  sdk::Value stride_ = 1, partial_rows_ = 0, all_heads_ = 0, parts_ = 1;
  sdk::Value takes_sinks_ = 1;  // does what the rows see begin with the sinks?
  sdk::Value factor_ = 0.0, minus_factor_ = 0.0, before_cap_ = 0.0, after_cap_ = 0.0;

  sdk::Value sequence_ = 0, tile_ = 0, kv_head_ = 0, head_ = 0, heads_ = 0;
  sdk::Value begin_ = 0, end_ = 0;  // of the keys that any block sees
  sdk::Value ranges_ = 0;

  sdk::Tile k_tile_, v_tile_, k_part_, v_part_, visible_, key_numbers_;
  std::vector<Block> blocks_;
};

}  // namespace npu::kernels
