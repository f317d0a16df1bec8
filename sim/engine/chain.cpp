#include "sim/engine/chain.h"

#include <cassert>
#include <cstring>

#include "sim/engine/jit/fused_stages.h"
#include "sim/engine/stage.h"

namespace npu::sim {
namespace {

// Of each operand: what stages hand to each other stays in the L1 cache.
constexpr int64_t kBlockBytes = 4096;
// Elements of the rows that are taken at once where whole rows are needed.
constexpr int64_t kGroupElements = 4096;
// Conversions of three operands and of a result.
constexpr int kConversions = 4;
// Conversions that several links share.
constexpr int kShared = 4;

static_assert(kLongestChain <= kFusedSteps);  // a whole chain may be one function

bool same_shape(const Tile& a, const Tile& b) { return a.rows == b.rows && a.cols == b.cols; }

Compute reduction_type(const Tile& dst, const Tile& src) {
  return common(compute_of(src.dtype), compute_of(dst.dtype));
}

class Chain {
 public:
  // With `fuse`, stages that can be compiled are; fused() tells whether the compiler took them all.
  Chain(EngineContext& context, std::span<const ChainLink> links, bool fuse)
      : context_(context), links_(links) {
    measure();
    classify(fuse && (links.size() > 1 || gains_alone(links[0])));
    find_segments();
    find_last_uses();
    slot_.fill(-1);
    plan_blocks();
    allocate(context);
    for (size_t i = 0; i < links_.size(); ++i) {
      if (starts_segment(i)) shared_count_ = 0;
      dispatch(compute_[i], [&]<class T>(T) { prepare<T>(i); });
    }
    make_segments();
  }

  bool fused() const { return fused_; }

  void run() const {
    const bool whole_rows = cols_ <= limit_;
    const int64_t height = whole_rows ? std::max<int64_t>(limit_ / cols_, 1) : 1;
    const int64_t width = whole_rows ? cols_ : limit_;
    for (int64_t r = 0; r < rows_; r += height) {
      for (int64_t c = 0; c < cols_; c += width) {
        run_block({r, std::min(height, rows_ - r), c, std::min(width, cols_ - c)});
      }
    }
  }

 private:
  enum class Kind : uint8_t { kStaged, kFused, kColumn, kReduction };

  // Stages that a block passes one after the other, or as one function.
  struct Segment {
    uint8_t first;
    uint8_t last;  // one past
    FusedStages fused;
  };

  void measure() {
    rows_ = links_[0].dst.rows;
    for (const ChainLink& link : links_) {
      const bool reduction = link.op == Opcode::v_reduce;
      cols_ = std::max(cols_, reduction ? link.operands[0].tile.cols : link.dst.cols);
      by_rows_ |= reduction;
    }
    for (const ChainLink& link : links_) by_rows_ |= link.dst.cols != cols_;
  }

  void classify(bool fuse) {
    for (size_t i = 0; i < links_.size(); ++i) {
      const ChainLink& link = links_[i];
      if (link.op == Opcode::v_reduce) {
        compute_[i] = reduction_type(link.dst, link.operands[0].tile);
        kind_[i] = Kind::kReduction;
        continue;
      }
      compute_[i] = compute_type(link.op, link.fn, link.dst, link.operands);
      if (link.dst.cols != cols_) {
        kind_[i] = Kind::kColumn;
      } else {
        const bool fusable = fuse && compute_[i] == Compute::f32 && can_fuse(link);
        kind_[i] = fusable ? Kind::kFused : Kind::kStaged;
      }
    }
  }

  static bool can_fuse(const ChainLink& link) {
    bool types = fuses(link.dst.dtype);
    for (int i = 0; i < operand_count(link.op); ++i) {
      if (link.operands[i].is_tile) types &= fuses(link.operands[i].tile.dtype);
    }
    return types && fuses(link.op, link.fn);
  }

  bool starts_segment(size_t i) const {
    return i == 0 || kind_[i] != kind_[i - 1] || kind_[i] == Kind::kReduction;
  }
  void find_segments() {
    size_t end = links_.size();
    for (size_t i = end; i-- > 0;) {
      segment_end_[i] = end;
      if (starts_segment(i)) end = i;
    }
  }

  void find_last_uses() {
    for (size_t i = 0; i < links_.size(); ++i) {
      last_use_[i] = i;
      for (const VectorOperand& operand : links_[i].operands) {
        if (operand.link >= 0) last_use_[operand.link] = i;
      }
    }
  }

  // Whether the result has to be somewhere: a fused stage hands it on in a register.
  bool stored(size_t i) const {
    return links_[i].dst.data != nullptr || kind_[i] != Kind::kFused ||
           last_use_[i] >= segment_end_[i];
  }

  // Is one compiled loop better than a pass of the table's function? It is where elements are
  // converted or streamed on their way.
  static bool gains_alone(const ChainLink& link) {
    bool alike = true;  // all tiles of one type
    for (int i = 0; i < operand_count(link.op); ++i) {
      const VectorOperand& operand = link.operands[i];
      alike &= !operand.is_tile || operand.tile.dtype == link.dst.dtype;
    }
    const bool as_stored = is_copy(link.op, link.fn) || link.dst.dtype == DType::f32;
    return link.stream || !alike || !as_stored;
  }

  // Does the stage need room for elements in its compute type?
  bool converts(size_t i) const {
    const ChainLink& link = links_[i];
    if (link.stream) return true;
    const auto needs = [&](const Tile& tile) {
      return compute_of(tile.dtype) != compute_[i] ||
             size_of(tile.dtype) != element_bytes(compute_[i]);
    };
    bool any = needs(link.dst);
    for (int o = 0; o < operand_count(link.op); ++o) {
      const VectorOperand& operand = link.operands[o];
      any |= operand.is_tile && same_shape(operand.tile, link.dst) && needs(operand.tile);
    }
    return any && !is_copy(link.op, link.fn);
  }
  static int64_t element_bytes(Compute compute) { return compute == Compute::f32 ? 4 : 8; }

  void plan_blocks() {
    int64_t widest = sizeof(float);
    for (size_t i = 0; i < links_.size(); ++i) {
      widest =
          std::max({widest, element_bytes(compute_[i]), int64_t{size_of(links_[i].dst.dtype)}});
    }
    const bool one_function = kind_[0] == Kind::kFused && segment_end_[0] == links_.size();
    const bool one_pass = links_.size() == 1 && !converts(0);
    if (by_rows_) {
      limit_ = std::max(kGroupElements, cols_);
    } else if (one_function || one_pass) {
      limit_ = rows_ * cols_;
      if (is_flat()) flatten();
      return;
    } else {
      limit_ = kBlockBytes / widest;
      if (is_flat()) flatten();
    }
    // Buffers lie at different distances from each other's cache lines.
    slot_bytes_ = (std::min(limit_, rows_ * cols_) * widest + 63) / 64 * 64 + 192;
  }

  void flatten() {
    cols_ *= rows_;
    rows_ = 1;
    flat_ = true;
  }

  // May rows be joined to one?
  bool is_flat() const {
    const auto packed = [](const Tile& tile) { return tile.data == nullptr || tile.packed(); };
    bool flat = true;
    for (const ChainLink& link : links_) {
      flat &= packed(link.dst);
      for (int i = 0; i < operand_count(link.op); ++i) {
        const VectorOperand& operand = link.operands[i];
        if (!operand.is_tile || operand.tile.elements() == 1) continue;
        flat &= operand.link >= 0 || (same_shape(operand.tile, link.dst) && packed(operand.tile));
      }
    }
    return flat;
  }

  // Operands that are read again and again are converted before the loop.
  void allocate(EngineContext& context) {
    if (slot_bytes_ > 0) {
      const auto slots = static_cast<int64_t>(links_.size()) + kConversions + kShared;
      slots_ = context.scratch.get<std::byte>(Scratch::kBlocks, slots * slot_bytes_);
    }
    int64_t elements = 0;
    for (const ChainLink& link : links_) {
      for (const VectorOperand& operand : link.operands) {
        if (operand.is_tile && operand.link < 0 && !same_shape(operand.tile, link.dst)) {
          elements += operand.tile.elements();
        }
      }
    }
    broadcasts_ = context.scratch.get<int64_t>(Scratch::kSource0, elements);
  }

  std::byte* slot(int number) const { return slots_ + number * slot_bytes_; }

  template <class T>
  void prepare(size_t number) {
    const ChainLink& link = links_[number];
    Stage& stage = stages_[number];
    stage.compute = ComputeTraits<T>::kCompute;
    stage.op = link.op;
    stage.fn = link.fn;
    stage.copy = is_copy(link.op, link.fn);
    stage.sources = static_cast<uint8_t>(operand_count(link.op));
    stage.stored = stored(number);
    stage.stream = link.stream;
    stage.spare = slot(kConversions - 1);
    if (link.op != Opcode::v_reduce) {
      stage.function =
          find_function(context_.table, compute_[number], link.op, link.fn, link.operands[0]);
    }
    for (int i = 0; i < stage.sources; ++i) {
      lay_out<T>(stage.source[i], number, i);
      // Copies convert on their way, so there is nothing for other links to read.
      if (stage.source[i].convert && !stage.copy) offer(stage.source[i], link.operands[i]);
    }
    stage.memory = {link.dst.data, flat_ ? cols_ : link.dst.ld, link.dst.dtype};
    stage.out = stage.memory;
    const bool in_slot = link.dst.data == nullptr || (link.stream && kind_[number] != Kind::kFused);
    if (in_slot && stage.stored) {
      const int free = std::countr_one(taken_);
      taken_ |= 1u << free;
      stage.out = {slot(kConversions + free), 0, link.dst.dtype};
      slot_[number] = static_cast<int8_t>(free);
    }
    // A fused segment takes some elements through all its stages, so what it reads stays until its
    // end.
    if (kind_[number] == Kind::kFused && number + 1 < segment_end_[number]) return;
    for (size_t i = 0; i <= number; ++i) {
      if (last_use_[i] <= number && slot_[i] >= 0) {
        taken_ &= ~(1u << slot_[i]);
        slot_[i] = -1;
      }
    }
  }

  template <class T>
  void lay_out(Source& source, size_t number, int index) {
    constexpr DType kStorage = ComputeTraits<T>::kStorage;
    const ChainLink& link = links_[number];
    const VectorOperand& operand = link.operands[index];
    const bool condition = index == 0 && is_where(link.op, link.fn);
    source.convert = source.truth = false;
    source.link = operand.link;
    if (!operand.is_tile) {
      source.kind = Source::kScalar;
      const T value = scalar_as<T>(operand, condition);
      std::memcpy(&source.value, &value, sizeof(T));
      return;
    }
    const Tile& tile = operand.tile;
    const bool reduction = link.op == Opcode::v_reduce;
    const bool full =
        reduction || same_shape(tile, link.dst) || (operand.link >= 0 && tile.cols == cols_);
    const bool one = tile.rows == 1 && tile.cols == 1 && operand.link < 0;
    source.kind = full             ? Source::kFull
                  : one            ? Source::kScalar
                  : tile.cols == 1 ? Source::kColumn
                                   : Source::kRow;
    source.place = operand.link >= 0 ? stages_[static_cast<size_t>(operand.link)].out
                                     : Place{tile.data, flat_ ? cols_ : tile.ld, tile.dtype};
    const bool convert = tile.dtype != kStorage;
    source.truth = condition && needs_truth(tile.dtype, ComputeTraits<T>::kCompute);
    if (full) {
      if (convert && kind_[number] != Kind::kFused) share<T>(source, operand.link < 0, index);
    } else if (source.kind == Source::kScalar) {
      load_elements(context_.table, reinterpret_cast<T*>(&source.value), source, tile.data, 1);
    } else if (convert) {
      assert(operand.link < 0);  // it is there already
      T* to = reinterpret_cast<T*>(broadcasts_);
      broadcasts_ += tile.elements();
      for (int64_t r = 0; r < tile.rows; ++r) {
        load_elements(context_.table, to + r * tile.cols, source, tile.row(r), tile.cols);
      }
      source.place = {reinterpret_cast<std::byte*>(to), tile.cols, kStorage};
    }
  }

  template <class T>
  static T scalar_as(const VectorOperand& operand, bool condition) {
    if (!operand.real) return static_cast<T>(operand.value);
    const auto value = std::bit_cast<double>(operand.value);
    return condition ? static_cast<T>(value != 0) : static_cast<T>(value);
  }

  // Takes the conversion to T that an earlier link of the segment made of the same tile, or makes
  // one.
  template <class T>
  void share(Source& source, bool outside, int index) {
    constexpr DType kStorage = ComputeTraits<T>::kStorage;
    for (int i = 0; i < shared_count_ && outside; ++i) {
      const auto& [place, truth, converted] = shared_[static_cast<size_t>(i)];
      if (place.data == source.place.data && place.ld == source.place.ld &&
          place.dtype == source.place.dtype && truth == source.truth &&
          converted.dtype == kStorage) {
        source.place = converted;
        return;
      }
    }
    source.convert = true;
    source.converted = {slot(index), 0, kStorage};
  }

  // Keeps the conversion of what comes from outside of the chain for later links.
  void offer(Source& source, const VectorOperand& operand) {
    if (operand.link >= 0 || shared_count_ == kShared || links_.size() == 1) return;
    source.converted.data = slot(kConversions + static_cast<int>(links_.size()) + shared_count_);
    shared_[static_cast<size_t>(shared_count_++)] = {source.place, source.truth, source.converted};
  }

  void make_segments() {
    for (size_t i = 0; i < links_.size(); i = segment_end_[i]) {
      const size_t end = segment_end_[i];
      Segment& segment = segments_[segment_count_++];
      segment.first = static_cast<uint8_t>(i);
      segment.last = static_cast<uint8_t>(end);
      if (kind_[i] != Kind::kFused) continue;
      fused_ &= segment.fused.prepare(context_.fused_cache, {&stages_[i], end - i}, i, rows_,
                                      prefetch_distance());
    }
  }

  // Arithmetic on a group of rows hides the way of the next ones from memory.
  int64_t prefetch_distance() const {
    constexpr int64_t kLeast = 4096;
    constexpr int64_t kMost = 65536;
    const int64_t ahead = limit_ * static_cast<int64_t>(sizeof(float));
    return by_rows_ && rows_ * cols_ > limit_ ? std::clamp(ahead, kLeast, kMost) : 0;
  }

  void run_block(const Block& block) const {
    for (int s = 0; s < segment_count_; ++s) {
      const Segment& segment = segments_[s];
      if (kind_[segment.first] == Kind::kFused) {
        segment.fused.run(block);
        continue;
      }
      const bool column = kind_[segment.first] == Kind::kColumn;
      const Block part = column ? Block{block.row, block.rows, 0, 1} : block;
      for (size_t i = segment.first; i < segment.last; ++i) {
        run_stage(context_.table, stages_[i], part);
      }
    }
  }

  struct Shared {
    Place place;
    bool truth;
    Place converted;
  };

  EngineContext& context_;
  std::span<const ChainLink> links_;
  int64_t rows_ = 0;
  int64_t cols_ = 0;
  bool by_rows_ = false;  // whole rows have to be there
  bool flat_ = false;     // rows have been joined to one
  bool fused_ = true;
  int64_t limit_ = 0;  // elements of a block
  int64_t slot_bytes_ = 0;
  std::byte* slots_ = nullptr;
  int64_t* broadcasts_ = nullptr;
  std::array<Shared, kShared> shared_;
  int shared_count_ = 0;
  unsigned taken_ = 0;  // slots in use while the stages are laid out
  std::array<Kind, kLongestChain> kind_;
  std::array<Compute, kLongestChain> compute_;
  std::array<size_t, kLongestChain> segment_end_;  // one past the segment that the link is in
  std::array<size_t, kLongestChain> last_use_;
  std::array<int8_t, kLongestChain> slot_;
  std::array<Stage, kLongestChain> stages_;
  std::array<Segment, kLongestChain> segments_;
  int segment_count_ = 0;
};

}  // namespace

bool chains(ReduceFn fn, const Tile& dst, const Tile& src) {
  return static_cast<int>(fn) < kSpanReductions && src.elements() > 0 && src.cols > 1 &&
         reduction_type(dst, src) != Compute::i64;
}

void run_chain(EngineContext& context, std::span<const ChainLink> links) {
  if (links[0].dst.elements() == 0) return;
  if (context.fuse) {
    context.fused_cache.bound();
    const Chain chain(context, links, true);
    if (chain.fused()) return chain.run();
  }
  Chain(context, links, false).run();
}

void elementwise(EngineContext& context, Opcode op, uint8_t fn, const Tile& dst,
                 const std::array<VectorOperand, 3>& operands) {
  if (dst.elements() == 0) return;
  check_elementwise(context, op, fn, dst, operands);
  const ChainLink link{op, fn, operands, dst};
  run_chain(context, {&link, 1});
}

}  // namespace npu::sim
