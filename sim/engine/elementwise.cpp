#include "sim/engine/elementwise.h"

#include <fmt/format.h>

#include <cstring>

#include "sim/engine/strided.h"
#include "sim/error.h"

namespace npu::sim {
namespace {

// Of each operand: what a chain has in flight stays in the L1 cache.
constexpr int64_t kBlockBytes = 4096;
// Buffers lie at different distances from each other's cache lines.
constexpr int64_t kSlotBytes = kBlockBytes + 192;
// Conversions of three operands and of a result.
constexpr int kConversions = 4;
// Conversions that several links share.
constexpr int kShared = 4;

bool is_where(Opcode op, uint8_t fn) {
  return op == Opcode::v_ternary && static_cast<TernaryFn>(fn) == TernaryFn::where;
}

bool is_copy(Opcode op, uint8_t fn) {
  return op == Opcode::v_unary && static_cast<UnaryFn>(fn) == UnaryFn::copy;
}

constexpr int operand_count(Opcode op) {
  return op == Opcode::v_unary ? 1 : op == Opcode::v_binary ? 2 : 3;
}

Compute compute_type(Opcode op, uint8_t fn, const Tile& dst,
                     const std::array<VectorOperand, 3>& operands) {
  Compute type = Compute::i64;
  bool any = false;
  for (size_t i = is_where(op, fn) ? 1 : 0; i < operands.size(); ++i) {
    if (!operands[i].is_tile) continue;
    type =
        any ? common(type, compute_of(operands[i].tile.dtype)) : compute_of(operands[i].tile.dtype);
    any = true;
  }
  if (any && is_predicate(op, fn)) return type;
  return any ? common(type, compute_of(dst.dtype)) : compute_of(dst.dtype);
}

template <class T>
T scalar_as(const VectorOperand& operand, bool condition) {
  if (!operand.real) return static_cast<T>(operand.value);
  const auto value = std::bit_cast<double>(operand.value);
  return condition ? static_cast<T>(value != 0) : static_cast<T>(value);
}

// `where` tests its condition in the condition's own type: a float below 1 is true.
bool needs_truth(DType dtype, Compute compute) {
  return is_float(dtype) && compute_of(dtype) != compute;
}

template <class T>
void load_truth(const VectorTable& table, T* out, DType dtype, const std::byte* in, int64_t n) {
  constexpr int64_t kStep = 256;
  dispatch(compute_of(dtype), [&]<class Own>(Own) {
    Own values[kStep];
    uint8_t truth[kStep];
    for (int64_t i = 0; i < n; i += kStep) {
      const int64_t count = std::min(kStep, n - i);
      load_as(table, values, dtype, in + i * size_of(dtype), count);
      store_as(table, DType::b8, truth, values, count);
      load_as(table, out + i, DType::b8, truth, count);
    }
  });
}

// A function of the table, whichever its type.
using Function = void (*)();

template <class T>
Function find_function(const VectorTable& vectors, Opcode op, uint8_t fn,
                       const VectorOperand& first) {
  const ElementwiseTable<T>& table = ComputeTraits<T>::elementwise(vectors);
  switch (op) {
    case Opcode::v_unary: {
      // The complement of a truth value is its negation.
      const bool truth = first.is_tile && first.tile.dtype == DType::b8 &&
                         static_cast<UnaryFn>(fn) == UnaryFn::bitnot;
      return reinterpret_cast<Function>(
          table.unary[truth ? static_cast<uint8_t>(UnaryFn::not_) : fn]);
    }
    case Opcode::v_binary:
      return reinterpret_cast<Function>(table.binary[fn]);
    default:
      return reinterpret_cast<Function>(table.ternary[fn]);
  }
}

Function find_function(const VectorTable& vectors, Compute compute, Opcode op, uint8_t fn,
                       const VectorOperand& first) {
  Function function = nullptr;
  dispatch(compute, [&]<class T>(T) { function = find_function<T>(vectors, op, fn, first); });
  return function;
}

// The part of the shape that is computed at once: some columns of a row, or whole rows.
struct Block {
  int64_t row;
  int64_t rows;
  int64_t col;
  int64_t cols;
};

// Where elements of the shape are.
struct Place {
  std::byte* data = nullptr;
  int64_t ld = 0;  // elements; 0: only the block's, packed
  DType dtype = DType::f32;

  std::byte* row(const Block& block, int64_t i) const {
    const int64_t element = ld == 0 ? i * block.cols : (block.row + i) * ld + block.col;
    return data + element * size_of(dtype);
  }
  bool contiguous(const Block& block) const {
    return ld == 0 || block.rows == 1 || ld == block.cols;
  }
};

struct Source {
  enum Kind : uint8_t { kFull, kRow, kColumn, kScalar };
  Kind kind = kScalar;
  bool convert = false;  // kFull only: the others are converted before the loop
  bool truth = false;    // with `convert`: only whether it is zero
  Place place;
  Place converted;    // where `convert` puts the elements
  int64_t value = 0;  // kScalar: the bits of a T
};

struct Stage {
  Compute compute;
  uint8_t sources;
  Opcode op;
  bool copy;
  bool stream;
  Function function;
  std::array<Source, 3> source;
  Place out;
  Place memory;  // where `stream` carries what is in `out`
};

bool same_shape(const Tile& a, const Tile& b) { return a.rows == b.rows && a.cols == b.cols; }

class Chain {
 public:
  Chain(EngineContext& context, std::span<const ChainLink> links)
      : table_(context.table),
        links_(links),
        rows_(links[0].dst.rows),
        cols_(links[0].dst.cols),
        slots_(context.scratch.get<std::byte>(
            Scratch::kBlocks, (kLongestChain + kConversions + kShared) * kSlotBytes)) {
    find_last_uses();
    allocate_broadcasts(context);
    bool blocked = links.size() > 1;
    bool flat = true;
    int64_t widest = sizeof(float);
    for (size_t i = 0; i < links.size(); ++i) {
      dispatch(compute_type(links[i].op, links[i].fn, links[i].dst, links[i].operands),
               [&]<class T>(T) {
                 prepare<T>(i);
                 blocked |= converts<T>(stages_[i]);
                 widest = std::max<int64_t>(widest, sizeof(T));
               });
      flat &= is_flat(stages_[i]);
    }
    if (flat) {
      cols_ *= rows_;
      rows_ = 1;
    }
    limit_ = blocked ? kBlockBytes / widest : rows_ * cols_;
  }

  void run() const {
    const bool whole_rows = cols_ <= limit_;
    const int64_t height = whole_rows ? limit_ / cols_ : 1;
    const int64_t width = whole_rows ? cols_ : limit_;
    for (int64_t r = 0; r < rows_; r += height) {
      for (int64_t c = 0; c < cols_; c += width) {
        const Block block{r, std::min(height, rows_ - r), c, std::min(width, cols_ - c)};
        for (size_t i = 0; i < links_.size(); ++i) {
          const Stage& stage = stages_[i];
          dispatch(stage.compute, [&]<class T>(T) { run<T>(stage, block); });
          if (stage.stream) carry(stage, block);
        }
      }
    }
  }

 private:
  std::byte* slot(int number) const { return slots_ + number * kSlotBytes; }

  void find_last_uses() {
    for (size_t i = 0; i < links_.size(); ++i) {
      last_use_[i] = i;
      for (const VectorOperand& operand : links_[i].operands) {
        if (operand.link >= 0) last_use_[operand.link] = i;
      }
    }
  }

  // Operands that are read again and again are converted before the loop.
  void allocate_broadcasts(EngineContext& context) {
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

  template <class T>
  static bool converts(const Stage& stage) {
    bool any = stage.stream || stage.out.dtype != ComputeTraits<T>::kStorage;
    for (int i = 0; i < stage.sources; ++i) any |= stage.source[i].convert;
    return any && !(stage.copy && !stage.stream);
  }

  // May rows be joined to one?
  bool is_flat(const Stage& stage) const {
    const auto packed = [&](const Place& place) {
      return place.ld == 0 || place.ld == cols_ || rows_ == 1;
    };
    bool flat = packed(stage.out) && (!stage.stream || packed(stage.memory));
    for (int i = 0; i < stage.sources; ++i) {
      const Source& source = stage.source[i];
      flat &=
          source.kind == Source::kScalar || (source.kind == Source::kFull && packed(source.place));
    }
    return flat;
  }

  template <class T>
  void prepare(size_t number) {
    const ChainLink& link = links_[number];
    Stage& stage = stages_[number];
    stage.compute = ComputeTraits<T>::kCompute;
    stage.op = link.op;
    stage.copy = is_copy(link.op, link.fn);
    stage.sources = static_cast<uint8_t>(operand_count(link.op));
    stage.function = find_function<T>(table_, link.op, link.fn, link.operands[0]);
    stage.stream = link.stream;
    for (int i = 0; i < stage.sources; ++i) {
      stage.source[i] =
          make_source<T>(link.operands[i], link.dst, i == 0 && is_where(link.op, link.fn), i);
      // Copies convert on their way, so there is nothing for other links to read.
      if (stage.source[i].convert && !stage.copy) offer<T>(stage.source[i], link.operands[i]);
    }
    stage.out = stage.memory = {link.dst.data, link.dst.ld, link.dst.dtype};
    if (link.dst.data == nullptr || link.stream) {
      const int free = std::countr_one(taken_);
      taken_ |= 1u << free;
      stage.out = {slot(kConversions + free), 0, link.dst.dtype};
      slot_[number] = free;
    }
    for (size_t i = 0; i <= number; ++i) {
      if (last_use_[i] == number && slot_[i] >= 0) {
        taken_ &= ~(1u << slot_[i]);
        slot_[i] = -1;
      }
    }
  }

  template <class T>
  Source make_source(const VectorOperand& operand, const Tile& dst, bool condition, int number) {
    constexpr DType kStorage = ComputeTraits<T>::kStorage;
    Source source;
    if (!operand.is_tile) {
      const T value = scalar_as<T>(operand, condition);
      std::memcpy(&source.value, &value, sizeof(T));
      return source;
    }
    const Tile& tile = operand.tile;
    const bool full = operand.link >= 0 || same_shape(tile, dst);
    source.kind = full                               ? Source::kFull
                  : tile.rows == 1 && tile.cols == 1 ? Source::kScalar
                  : tile.rows == 1                   ? Source::kRow
                                                     : Source::kColumn;
    source.place = operand.link >= 0 ? stages_[static_cast<size_t>(operand.link)].out
                                     : Place{tile.data, tile.ld, tile.dtype};
    const bool convert = tile.dtype != kStorage;
    source.truth = condition && needs_truth(tile.dtype, ComputeTraits<T>::kCompute);
    if (full) {
      if (convert) share<T>(source, operand.link < 0, number);
    } else if (source.kind == Source::kScalar) {
      load(reinterpret_cast<T*>(&source.value), source, tile.data, 1);
    } else if (convert) {
      T* to = reinterpret_cast<T*>(broadcasts_);
      broadcasts_ += tile.elements();
      for (int64_t r = 0; r < tile.rows; ++r) {
        load(to + r * tile.cols, source, tile.row(r), tile.cols);
      }
      source.place = {reinterpret_cast<std::byte*>(to), tile.cols, kStorage};
    }
    return source;
  }

  // Takes the conversion to T that an earlier link made of the same tile, or makes one.
  template <class T>
  void share(Source& source, bool outside, int number) {
    constexpr DType kStorage = ComputeTraits<T>::kStorage;
    for (int i = 0; i < shared_count_ && outside; ++i) {
      const auto& [place, truth, converted] = shared_[static_cast<size_t>(i)];
      if (place.data == source.place.data && place.dtype == source.place.dtype &&
          truth == source.truth && converted.dtype == kStorage) {
        source.place = converted;
        return;
      }
    }
    source.convert = true;
    source.converted = {slot(number), 0, kStorage};
  }

  // Keeps the conversion of what comes from outside of the chain for later links.
  template <class T>
  void offer(Source& source, const VectorOperand& operand) {
    if (operand.link >= 0 || shared_count_ == kShared || links_.size() == 1) return;
    source.converted.data = slot(kConversions + kLongestChain + shared_count_);
    shared_[static_cast<size_t>(shared_count_++)] = {source.place, source.truth, source.converted};
  }

  template <class T>
  void load(T* out, const Source& source, const std::byte* data, int64_t n) const {
    if (source.truth) {
      load_truth(table_, out, source.place.dtype, data, n);
    } else {
      load_as(table_, out, source.place.dtype, data, n);
    }
  }

  template <class T>
  const T* read(const Source& source, const Block& block, int64_t i, int64_t n) const {
    const std::byte* data = source.place.row(block, i);
    if (!source.convert) return reinterpret_cast<const T*>(data);
    T* out = reinterpret_cast<T*>(source.converted.row(block, i));
    load(out, source, data, n);
    return out;
  }

  // Without a stop in compute type where the elements are stored in it on one side, or move.
  template <class T>
  void copy(const Stage& stage, const Block& block, int64_t i, int64_t n) const {
    constexpr DType kStorage = ComputeTraits<T>::kStorage;
    const DType from = stage.source[0].place.dtype;
    const std::byte* data = stage.source[0].place.row(block, i);
    std::byte* out = stage.out.row(block, i);
    if (from == stage.out.dtype) {
      if (out != data) std::memcpy(out, data, static_cast<size_t>(n * size_of(from)));
    } else if (from == kStorage) {
      store_as(table_, stage.out.dtype, out, reinterpret_cast<const T*>(data), n);
    } else if (stage.out.dtype == kStorage) {
      load_as(table_, reinterpret_cast<T*>(out), from, data, n);
    } else {
      for (int64_t done = 0; done < n; done += kStep<T>) {
        const int64_t count = std::min(kStep<T>, n - done);
        T* buffer = reinterpret_cast<T*>(slot(0));
        load_as(table_, buffer, from, data + done * size_of(from), count);
        store_as(table_, stage.out.dtype, out + done * size_of(stage.out.dtype), buffer, count);
      }
    }
  }
  template <class T>
  static constexpr int64_t kStep = kBlockBytes / static_cast<int64_t>(sizeof(T));

  template <class T>
  void run(const Stage& stage, const Block& block) const {
    bool whole = stage.out.contiguous(block);
    for (int i = 0; i < stage.sources; ++i) {
      const Source& source = stage.source[i];
      whole &= source.kind == Source::kScalar ||
               (source.kind == Source::kFull && source.place.contiguous(block)) ||
               (block.rows == 1);
    }
    const int64_t calls = whole ? 1 : block.rows;
    const int64_t n = whole ? block.rows * block.cols : block.cols;
    const bool direct = stage.out.dtype == ComputeTraits<T>::kStorage;
    for (int64_t call = 0; call < calls; ++call) {
      if (stage.copy && stage.source[0].kind == Source::kFull) {
        copy<T>(stage, block, call, n);
        continue;
      }
      std::array<Span<T>, 3> spans;
      for (int i = 0; i < stage.sources; ++i) {
        const Source& source = stage.source[i];
        switch (source.kind) {
          case Source::kScalar:
            spans[i] = {reinterpret_cast<const T*>(&source.value), true};
            break;
          case Source::kColumn:
            spans[i] = {reinterpret_cast<const T*>(source.place.data) +
                            (block.row + call) * source.place.ld,
                        true};
            break;
          case Source::kRow:
            spans[i] = {reinterpret_cast<const T*>(source.place.data) + block.col, false};
            break;
          case Source::kFull:
            spans[i] = {read<T>(source, block, call, n), false};
            break;
        }
      }
      T* out = reinterpret_cast<T*>(direct ? stage.out.row(block, call) : slot(3));
      compute(stage, out, spans, n);
      if (!direct) store_as(table_, stage.out.dtype, stage.out.row(block, call), out, n);
    }
  }

  template <class T>
  static void compute(const Stage& stage, T* out, const std::array<Span<T>, 3>& in, int64_t n) {
    using Table = ElementwiseTable<T>;
    switch (stage.op) {
      case Opcode::v_unary:
        return reinterpret_cast<typename Table::Unary>(stage.function)(out, in[0].data, n);
      case Opcode::v_binary:
        return reinterpret_cast<typename Table::Binary>(stage.function)(out, in[0], in[1], n);
      default:
        return reinterpret_cast<typename Table::Ternary>(stage.function)(out, in[0], in[1], in[2],
                                                                         n);
    }
  }

  static void carry(const Stage& stage, const Block& block) {
    const bool whole = stage.memory.contiguous(block);
    const int64_t n = whole ? block.rows * block.cols : block.cols;
    for (int64_t i = 0; i < (whole ? 1 : block.rows); ++i) {
      stream_copy(stage.memory.row(block, i), stage.out.row(block, i),
                  static_cast<size_t>(n * size_of(stage.out.dtype)));
    }
  }

  const VectorTable& table_;
  std::span<const ChainLink> links_;
  int64_t rows_;
  int64_t cols_;
  int64_t limit_ = 0;  // elements of a block
  std::byte* slots_;
  int64_t* broadcasts_ = nullptr;
  struct Shared {
    Place place;
    bool truth;
    Place converted;
  };
  std::array<Shared, kShared> shared_;
  int shared_count_ = 0;
  unsigned taken_ = 0;  // slots in use while the stages are laid out
  std::array<size_t, kLongestChain> last_use_;
  std::array<int, kLongestChain> slot_ = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
  std::array<Stage, kLongestChain> stages_;
};

}  // namespace

void check_elementwise(EngineContext& context, Opcode op, uint8_t fn, const Tile& dst,
                       const std::array<VectorOperand, 3>& operands) {
  const Compute compute = compute_type(op, fn, dst, operands);
  if (find_function(context.table, compute, op, fn, operands[0]) != nullptr) return;
  if (is_copy(op, fn)) return;
  throw MachineError(ErrorKind::kUnimplemented,
                     fmt::format("v.{} is not defined for {}", fn_name(op, fn),
                                 compute == Compute::i64 ? "integers" : "floating-point numbers"));
}

void elementwise_chain(EngineContext& context, std::span<const ChainLink> links) {
  if (links[0].dst.elements() == 0) return;
  Chain(context, links).run();
}

void elementwise(EngineContext& context, Opcode op, uint8_t fn, const Tile& dst,
                 const std::array<VectorOperand, 3>& operands) {
  if (dst.elements() == 0) return;
  check_elementwise(context, op, fn, dst, operands);
  const ChainLink link{op, fn, operands, dst};
  elementwise_chain(context, {&link, 1});
}

}  // namespace npu::sim
