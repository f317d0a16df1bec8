#include "sim/engine/random.h"

#include <cstring>
#include <numbers>

namespace npu::sim {
namespace {

constexpr int64_t kElements = 1024;  // made at a time

// Words of the elements `first` to `first + count`, both even multiples of what a block serves.
template <class Word>
void draw(const VectorTable& table, Word* words, uint64_t seed, uint64_t first, int64_t count) {
  constexpr int64_t kPerBlock = 16 / sizeof(Word);
  table.philox(reinterpret_cast<uint32_t*>(words), seed, first / kPerBlock, count / kPerBlock);
}

template <class T, class Word, int kDrop>
void normal(const VectorTable& table, T* out, const Word* words) {
  constexpr T kUnit = T(1) / static_cast<T>(Word{1} << (8 * sizeof(Word) - kDrop));
  constexpr int64_t kPairs = kElements / 2;
  T radius[kPairs];
  T angle[kPairs];
  T sine[kPairs];
  for (int64_t i = 0; i < kPairs; ++i) {
    radius[i] = static_cast<T>((words[2 * i] >> kDrop) + 1) * kUnit;
    angle[i] =
        static_cast<T>(words[2 * i + 1] >> kDrop) * kUnit * static_cast<T>(2 * std::numbers::pi);
  }
  const ElementwiseTable<T>& functions = ComputeTraits<T>::elementwise(table);
  const auto apply = [&](UnaryFn fn, T* to, const T* from) {
    functions.unary[static_cast<int>(fn)](to, from, kPairs);
  };
  apply(UnaryFn::log, radius, radius);
  for (T& x : radius) x *= -2;
  apply(UnaryFn::sqrt, radius, radius);
  apply(UnaryFn::sin, sine, angle);
  apply(UnaryFn::cos, angle, angle);
  for (int64_t i = 0; i < kPairs; ++i) {
    out[2 * i] = radius[i] * angle[i];
    out[2 * i + 1] = radius[i] * sine[i];
  }
}

template <class T, class Word>
void uniform(T* out, const Word* words, int bits) {
  const int drop = static_cast<int>(8 * sizeof(Word)) - bits;
  const T unit = T(1) / static_cast<T>(Word{1} << bits);
  for (int64_t i = 0; i < kElements; ++i) out[i] = static_cast<T>(words[i] >> drop) * unit;
}

int uniform_bits(DType type) {
  switch (type) {
    case DType::f64:
      return 53;
    case DType::f16:
      return 11;
    case DType::bf16:
      return 8;
    default:
      return 24;
  }
}

template <class T, class Word>
void make(EngineContext& context, RandomFn fn, const Tile& dst, uint64_t seed, uint64_t counter) {
  const int64_t element = size_of(dst.dtype);
  const uint64_t skipped = counter % 4;  // a block of either width starts here
  const int64_t n = dst.elements();
  for (int64_t done = -static_cast<int64_t>(skipped); done < n; done += kElements) {
    Word words[kElements];
    draw(context.table, words, seed, counter + static_cast<uint64_t>(done), kElements);
    const int64_t first = std::max<int64_t>(-done, 0);
    const int64_t count = std::min(kElements, n - done) - first;
    std::byte* to = dst.data + (done + first) * element;
    if (fn == RandomFn::bits) {
      std::memcpy(to, words + first, static_cast<size_t>(count * element));
      continue;
    }
    T values[kElements];
    if (fn == RandomFn::uniform) {
      uniform(values, words, uniform_bits(dst.dtype));
    } else {
      normal<T, Word, sizeof(Word) == 4 ? 8 : 11>(context.table, values, words);
    }
    store_as(context.table, dst.dtype, to, values + first, count);
  }
}

}  // namespace

void random_tile(EngineContext& context, RandomFn fn, const Tile& dst, uint64_t seed,
                 uint64_t counter) {
  if (size_of(dst.dtype) == 8) {
    make<double, uint64_t>(context, fn, dst, seed, counter);
  } else {
    make<float, uint32_t>(context, fn, dst, seed, counter);
  }
}

}  // namespace npu::sim
