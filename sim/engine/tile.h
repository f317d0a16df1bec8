// What engines work on: a tile's memory, and the scratch space of the core that they run on.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "sim/engine/jit/fused_code.h"
#include "sim/engine/simd/vector_table.h"
#include "sim/isa/dtype.h"

namespace npu::sim {

// Rows of `cols` contiguous elements, `ld` elements apart.
struct Tile {
  std::byte* data = nullptr;
  int64_t ld = 0;
  int64_t rows = 0;
  int64_t cols = 0;
  DType dtype = DType::f32;

  int64_t elements() const { return rows * cols; }
  bool packed() const { return ld == cols || rows <= 1; }
  std::byte* row(int64_t r) const { return data + r * ld * size_of(dtype); }
};

// Host memory for conversions and repacking. It belongs to a host thread, grows to the largest
// request and stands for nothing on the chip.
class Scratch {
 public:
  // Each purpose has a piece of its own, so that an engine may hold several at once.
  enum Piece {
    kSource0,
    kSource1,
    kSource2,
    kCondition,
    kDestination,
    kIndex,
    kBlocks,   // what a chain of element-wise instructions has in flight
    kStable0,  // the core's: sources that their own instruction overwrites
    kStable1,
    kStable2,
    kPieces
  };

  template <class T>
  T* get(Piece piece, int64_t count) {
    Block& block = blocks_[piece];
    const size_t bytes = static_cast<size_t>(count) * sizeof(T);
    if (block.bytes < bytes) {
      block.bytes = std::max(bytes + bytes / 2, size_t{4096});
      block.bytes += -block.bytes % kAlignment;
      block.data.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, block.bytes)));
      if (block.data == nullptr) {
        block.bytes = 0;
        throw std::bad_alloc();
      }
    }
    return reinterpret_cast<T*>(block.data.get());
  }

 private:
  static constexpr size_t kAlignment = 64;
  struct Free {
    void operator()(std::byte* data) const { std::free(data); }
  };
  struct Block {
    std::unique_ptr<std::byte, Free> data;
    size_t bytes = 0;
  };
  std::array<Block, kPieces> blocks_;
};

struct EngineContext {
  const VectorTable& table;
  Scratch scratch;
  FusedCache fused_cache = {};
  bool fuse = table.fuses;  // compile what a chain of instructions does
};

// The type that values of this dtype are computed in when nothing else takes part.
constexpr Compute compute_of(DType type) {
  return type == DType::f64 ? Compute::f64 : is_float(type) ? Compute::f32 : Compute::i64;
}

// The type that a mixture is computed in: f64 before f32 before i64.
constexpr Compute common(Compute a, Compute b) {
  if (a == Compute::f64 || b == Compute::f64) return Compute::f64;
  return a == Compute::f32 || b == Compute::f32 ? Compute::f32 : Compute::i64;
}

template <class T>
struct ComputeTraits;
template <>
struct ComputeTraits<float> {
  static constexpr Compute kCompute = Compute::f32;
  static constexpr DType kStorage = DType::f32;
  static const auto& elementwise(const VectorTable& table) { return table.f32; }
  static auto reduction(const VectorTable& table, int fn) { return table.reduce_f32[fn]; }
};
template <>
struct ComputeTraits<double> {
  static constexpr Compute kCompute = Compute::f64;
  static constexpr DType kStorage = DType::f64;
  static const auto& elementwise(const VectorTable& table) { return table.f64; }
  static auto reduction(const VectorTable& table, int fn) { return table.reduce_f64[fn]; }
};
template <>
struct ComputeTraits<int64_t> {
  static constexpr Compute kCompute = Compute::i64;
  static constexpr DType kStorage = DType::i64;
  static const auto& elementwise(const VectorTable& table) { return table.i64; }
  static auto reduction(const VectorTable& table, int fn) { return table.reduce_i64[fn]; }
};

// Calls f with a value of the C++ type that stands for `compute`.
template <class F>
void dispatch(Compute compute, F&& f) {
  switch (compute) {
    case Compute::f32:
      return f(float{});
    case Compute::f64:
      return f(double{});
    case Compute::i64:
      return f(int64_t{});
  }
}

// Converts between a storage type and a compute type; contiguous.
template <class T>
void load_as(const VectorTable& table, T* out, DType type, const void* in, int64_t n) {
  table.load[static_cast<int>(ComputeTraits<T>::kCompute)][static_cast<int>(type)](out, in, n);
}
template <class T>
void store_as(const VectorTable& table, DType type, void* out, const T* in, int64_t n) {
  table.store[static_cast<int>(ComputeTraits<T>::kCompute)][static_cast<int>(type)](out, in, n);
}

// The tile's row in compute type: in place where it is stored so, else converted into `buffer`.
template <class T>
const T* row_as(const VectorTable& table, const Tile& tile, int64_t r, T* buffer) {
  if (tile.dtype == ComputeTraits<T>::kStorage) return reinterpret_cast<const T*>(tile.row(r));
  load_as(table, buffer, tile.dtype, tile.row(r), tile.cols);
  return buffer;
}

}  // namespace npu::sim
