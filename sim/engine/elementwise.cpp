#include "sim/engine/elementwise.h"

#include <fmt/format.h>

#include "sim/engine/strided.h"
#include "sim/error.h"

namespace npu::sim {
namespace {

constexpr int64_t kChunkBytes = 4096;  // of each operand; all of them stay in the L1 cache

bool is_where(Opcode op, uint8_t fn) {
  return op == Opcode::v_ternary && static_cast<TernaryFn>(fn) == TernaryFn::where;
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
T scalar_as(const VectorOperand& operand) {
  return operand.real ? static_cast<T>(std::bit_cast<double>(operand.value))
                      : static_cast<T>(operand.value);
}

// One operand as the loop reads it.
template <class T>
struct Source {
  enum Kind { kFull, kRow, kColumn, kScalar };
  Kind kind;
  bool convert = false;  // kFull only: the others are converted before the loop
  DType dtype;
  const std::byte* data;
  int64_t row_bytes = 0;
  T value;
};

// Converts a whole tile, for operands that every row of the destination reads again.
template <class T>
const T* convert_tile(EngineContext& context, Scratch::Piece piece, const Tile& tile) {
  T* out = context.scratch.get<T>(piece, tile.elements());
  if (tile.packed()) {
    load_as(context.table, out, tile.dtype, tile.data, tile.elements());
  } else {
    for (int64_t r = 0; r < tile.rows; ++r) {
      load_as(context.table, out + r * tile.cols, tile.dtype, tile.row(r), tile.cols);
    }
  }
  return out;
}

template <class T>
Source<T> make_source(EngineContext& context, int number, const VectorOperand& operand,
                      const Tile& dst) {
  constexpr DType kStorage = ComputeTraits<T>::kStorage;
  Source<T> source;
  source.dtype = kStorage;
  if (!operand.is_tile) {
    source.kind = Source<T>::kScalar;
    source.value = scalar_as<T>(operand);
    return source;
  }
  const Tile& tile = operand.tile;
  if (tile.rows == 1 && tile.cols == 1) {
    source.kind = Source<T>::kScalar;
    load_as(context.table, &source.value, tile.dtype, tile.data, 1);
    return source;
  }
  source.data = tile.data;
  source.row_bytes = tile.ld * size_of(tile.dtype);
  if (tile.rows == dst.rows && tile.cols == dst.cols) {
    source.kind = Source<T>::kFull;
    source.dtype = tile.dtype;
    source.convert = tile.dtype != kStorage;
    return source;
  }
  source.kind = tile.rows == 1 ? Source<T>::kRow : Source<T>::kColumn;
  if (tile.dtype != kStorage) {
    const auto piece = static_cast<Scratch::Piece>(Scratch::kSource0 + number);
    source.data = reinterpret_cast<const std::byte*>(convert_tile<T>(context, piece, tile));
    source.row_bytes = tile.cols * static_cast<int64_t>(sizeof(T));
  }
  return source;
}

template <class T, size_t N, class Call>
void run(EngineContext& context, Tile dst, const std::array<VectorOperand, 3>& operands,
         Call&& call) {
  constexpr int64_t kChunk = kChunkBytes / static_cast<int64_t>(sizeof(T));
  const VectorTable& table = context.table;
  std::array<Source<T>, N> sources;
  bool flat = dst.packed();
  bool converts = dst.dtype != ComputeTraits<T>::kStorage;
  for (size_t i = 0; i < N; ++i) {
    sources[i] = make_source<T>(context, static_cast<int>(i), operands[i], dst);
    converts |= sources[i].convert;
    flat &= sources[i].kind == Source<T>::kScalar ||
            (sources[i].kind == Source<T>::kFull && operands[i].tile.packed());
  }
  if (flat) {
    dst.cols = dst.elements();
    dst.ld = dst.cols;
    dst.rows = 1;
  }
  alignas(64) T buffers[N + 1][kChunk];
  const int64_t step = converts ? kChunk : dst.cols;
  const int64_t dst_bytes = size_of(dst.dtype);
  const bool store = dst.dtype != ComputeTraits<T>::kStorage;
  for (int64_t r = 0; r < dst.rows; ++r) {
    std::byte* out = dst.row(r);
    for (int64_t c = 0; c < dst.cols; c += step) {
      const int64_t n = std::min(step, dst.cols - c);
      std::array<Span<T>, N> spans = {};
      for (size_t i = 0; i < N; ++i) {
        const Source<T>& source = sources[i];
        switch (source.kind) {
          case Source<T>::kScalar:
            spans[i] = {&source.value, true};
            break;
          case Source<T>::kColumn:
            spans[i] = {reinterpret_cast<const T*>(source.data + r * source.row_bytes), true};
            break;
          case Source<T>::kRow:
            spans[i] = {reinterpret_cast<const T*>(source.data) + c, false};
            break;
          case Source<T>::kFull: {
            const std::byte* data = source.data + r * source.row_bytes + c * size_of(source.dtype);
            if (source.convert) {
              load_as(table, buffers[i], source.dtype, data, n);
              spans[i] = {buffers[i], false};
            } else {
              spans[i] = {reinterpret_cast<const T*>(data), false};
            }
            break;
          }
        }
      }
      if (store) {
        call(buffers[N], spans, n);
        store_as(table, dst.dtype, out + c * dst_bytes, buffers[N], n);
      } else {
        call(reinterpret_cast<T*>(out) + c, spans, n);
      }
    }
  }
}

void copy(EngineContext& context, const Tile& dst, const VectorOperand& operand, Compute compute) {
  const Tile& src = operand.tile;
  if (operand.is_tile && src.dtype == dst.dtype) {
    if (src.data == dst.data) return;
    const int64_t element = size_of(dst.dtype);
    StridedShape shape;
    shape.add(dst.rows, dst.ld * element, src.ld * element);
    shape.add(dst.cols, element, element);
    copy_strided(shape, static_cast<int>(element), dst.data, src.data);
    return;
  }
  dispatch(compute, [&]<class T>(T) {
    // What is stored in compute type already is converted without a stop in between.
    if (operand.is_tile && src.dtype == ComputeTraits<T>::kStorage && src.packed()) {
      store_as(context.table, dst.dtype, dst.data, reinterpret_cast<const T*>(src.data),
               src.elements());
    } else if (operand.is_tile && dst.dtype == ComputeTraits<T>::kStorage && src.packed()) {
      load_as(context.table, reinterpret_cast<T*>(dst.data), src.dtype, src.data, src.elements());
    } else {
      const auto function =
          ComputeTraits<T>::elementwise(context.table).unary[static_cast<int>(UnaryFn::copy)];
      run<T, 1>(context, dst, {operand}, [&](T* out, const std::array<Span<T>, 1>& in, int64_t n) {
        function(out, in[0].data, n);
      });
    }
  });
}

// `where` tests its condition in the condition's own type: a float below 1 is true.
VectorOperand as_condition(EngineContext& context, const VectorOperand& operand) {
  if (!operand.is_tile) {
    const bool holds =
        operand.real ? std::bit_cast<double>(operand.value) != 0 : operand.value != 0;
    VectorOperand truth;
    truth.value = holds;
    return truth;
  }
  const Tile& tile = operand.tile;
  if (!is_float(tile.dtype)) return operand;
  VectorOperand condition = operand;
  condition.tile.data = context.scratch.get<std::byte>(Scratch::kCondition, tile.elements());
  condition.tile.ld = tile.cols;
  condition.tile.dtype = DType::b8;
  copy(context, condition.tile, operand, compute_of(tile.dtype));
  return condition;
}

[[noreturn]] void fail_undefined(Opcode op, uint8_t fn, Compute compute) {
  throw MachineError(ErrorKind::kUnimplemented,
                     fmt::format("v.{} is not defined for {}", fn_name(op, fn),
                                 compute == Compute::i64 ? "integers" : "floating-point numbers"));
}

}  // namespace

void elementwise(EngineContext& context, Opcode op, uint8_t fn, const Tile& dst,
                 const std::array<VectorOperand, 3>& operands) {
  if (dst.elements() == 0) return;
  const Compute compute = compute_type(op, fn, dst, operands);
  if (op == Opcode::v_unary && static_cast<UnaryFn>(fn) == UnaryFn::copy) {
    return copy(context, dst, operands[0], compute);
  }
  dispatch(compute, [&]<class T>(T) {
    const ElementwiseTable<T>& table = ComputeTraits<T>::elementwise(context.table);
    if (op == Opcode::v_unary) {
      // The complement of a truth value is its negation.
      const bool truth = operands[0].is_tile && operands[0].tile.dtype == DType::b8 &&
                         static_cast<UnaryFn>(fn) == UnaryFn::bitnot;
      const auto function = table.unary[truth ? static_cast<uint8_t>(UnaryFn::not_) : fn];
      if (function == nullptr) fail_undefined(op, fn, compute);
      run<T, 1>(context, dst, operands, [&](T* out, const std::array<Span<T>, 1>& in, int64_t n) {
        function(out, in[0].data, n);
      });
    } else if (op == Opcode::v_binary) {
      const auto function = table.binary[fn];
      if (function == nullptr) fail_undefined(op, fn, compute);
      run<T, 2>(context, dst, operands, [&](T* out, const std::array<Span<T>, 2>& in, int64_t n) {
        function(out, in[0], in[1], n);
      });
    } else {
      const auto function = table.ternary[fn];
      if (function == nullptr) fail_undefined(op, fn, compute);
      const auto call = [&](T* out, const std::array<Span<T>, 3>& in, int64_t n) {
        function(out, in[0], in[1], in[2], n);
      };
      if (is_where(op, fn)) {
        run<T, 3>(context, dst, {as_condition(context, operands[0]), operands[1], operands[2]},
                  call);
      } else {
        run<T, 3>(context, dst, operands, call);
      }
    }
  });
}

}  // namespace npu::sim
