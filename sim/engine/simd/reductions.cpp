// Reductions of a contiguous span. The tree depends on the length alone: registers over blocks of
// kBlock elements, lanes folded in halves, blocks combined pairwise, so that errors grow with the
// logarithm of the length.
#include <type_traits>

#include "sim/engine/simd/simd.h"

namespace npu::sim::NPU_SIMD {
namespace {

constexpr int64_t kBlock = 1024;
constexpr int kAccumulators = 4;

struct Sum {
  template <class V>
  static V f(V x, V y) {
    return x + y;
  }
};

struct Prod {
  template <class V>
  static V f(V x, V y) {
    return x * y;
  }
};

struct Max {
  template <class V>
  static V f(V x, V y) {
    return x != x ? x : (y != y ? y : (x < y ? y : x));
  }
};

struct Min {
  template <class V>
  static V f(V x, V y) {
    return x != x ? x : (y != y ? y : (y < x ? y : x));
  }
};

// Integers wrap: they are added and multiplied as unsigned.
template <class F, class T>
inline T combine(T x, T y) {
  if constexpr (std::is_same_v<T, int64_t> && (std::is_same_v<F, Sum> || std::is_same_v<F, Prod>)) {
    return static_cast<int64_t>(F::f(static_cast<uint64_t>(x), static_cast<uint64_t>(y)));
  } else {
    return F::f(x, y);
  }
}

// 1 <= n <= kBlock.
template <class T, class F>
inline T block(const T* in, int64_t n) {
  typedef T V __attribute__((vector_size(kRegisterBytes)));
  constexpr int kWidth = kLanes<T>;
  constexpr int kStride = kWidth * kAccumulators;
  int64_t i = 0;
  T result;
  if (n >= kWidth) {
    V all = load<V>(in);
    i = kWidth;
    if (n >= kStride) {
      V sums[kAccumulators] = {all};
      for (int a = 1; a < kAccumulators; ++a) sums[a] = load<V>(in + a * kWidth);
      for (i = kStride; i + kStride <= n; i += kStride) {
        for (int a = 0; a < kAccumulators; ++a) {
          sums[a] = F::f(sums[a], load<V>(in + i + a * kWidth));
        }
      }
      all = F::f(F::f(sums[0], sums[1]), F::f(sums[2], sums[3]));
    }
    for (; i + kWidth <= n; i += kWidth) all = F::f(all, load<V>(in + i));
    T lanes[kWidth];
    store(lanes, all);
    for (int half = kWidth / 2; half > 0; half /= 2) {
      for (int lane = 0; lane < half; ++lane) {
        lanes[lane] = combine<F>(lanes[lane], lanes[lane + half]);
      }
    }
    result = lanes[0];
  } else {
    result = in[i++];
  }
  for (; i < n; ++i) result = combine<F>(result, in[i]);
  return result;
}

#ifdef __AVX512F__
// The extreme of n >= kPlainLanes floats without a NaN, else no value: the instruction alone, which
// of two equal numbers gives the second source, and of a NaN and a number whichever comes second.
constexpr int kPlainLanes = 16 * 4;
template <class F>
inline bool plain_extreme(const float* in, int64_t n, float* result) {
  const auto combine_plain = [](Vf best, Vf next) {
    return std::is_same_v<F, Max> ? _mm512_max_ps(next, best) : _mm512_min_ps(next, best);
  };
  Vf best[kAccumulators];
  __mmask16 nan = 0;
  const auto read = [&](int64_t i) { return _mm512_loadu_ps(in + i); };
  for (int a = 0; a < kAccumulators; ++a) best[a] = read(a * 16);
  for (int a = 0; a < kAccumulators; a += 2) {
    nan |= _mm512_cmp_ps_mask(best[a], best[a + 1], _CMP_UNORD_Q);
  }
  int64_t i = kPlainLanes;
  for (; i + kPlainLanes <= n; i += kPlainLanes) {
    for (int a = 0; a < kAccumulators; a += 2) {
      const Vf even = read(i + a * 16);
      const Vf odd = read(i + a * 16 + 16);
      best[a] = combine_plain(best[a], even);
      best[a + 1] = combine_plain(best[a + 1], odd);
      nan |= _mm512_cmp_ps_mask(even, odd, _CMP_UNORD_Q);
    }
  }
  for (; i < n; i += 16) {
    // The last register may hold some again, which changes no extreme.
    const Vf next = read(i + 16 <= n ? i : n - 16);
    best[0] = combine_plain(best[0], next);
    nan |= _mm512_cmp_ps_mask(next, next, _CMP_UNORD_Q);
  }
  if (nan != 0) return false;
  const Vf all = combine_plain(combine_plain(best[0], best[1]), combine_plain(best[2], best[3]));
  float lanes[16];
  store(lanes, all);
  *result = lanes[0];
  for (int lane = 1; lane < 16; ++lane) *result = F::f(*result, lanes[lane]);
  // Which of two zeros comes first is for the tree to say.
  return *result != 0;
}
#endif

// n >= 1. The blocks' results are combined like a binary counter counts.
template <class T, class F>
T reduce(const T* in, int64_t n) {
#ifdef __AVX512F__
  if constexpr (std::is_same_v<T, float> && (std::is_same_v<F, Max> || std::is_same_v<F, Min>)) {
    float extreme;
    if (n >= kPlainLanes && plain_extreme<F>(in, n, &extreme)) return extreme;
  }
#endif
  if (n <= kBlock) return block<T, F>(in, n);
  T level[64];
  int64_t count = 0;
  int depth = 0;
  for (int64_t i = 0; i < n; i += kBlock) {
    T value = block<T, F>(in + i, n - i < kBlock ? n - i : kBlock);
    for (int64_t carry = count++; carry & 1; carry >>= 1) value = combine<F>(level[--depth], value);
    level[depth++] = value;
  }
  T result = level[--depth];
  while (depth > 0) result = combine<F>(level[--depth], result);
  return result;
}

template <class T>
void fill(T (**table)(const T*, int64_t)) {
  table[static_cast<int>(ReduceFn::sum)] = reduce<T, Sum>;
  table[static_cast<int>(ReduceFn::prod)] = reduce<T, Prod>;
  table[static_cast<int>(ReduceFn::max)] = reduce<T, Max>;
  table[static_cast<int>(ReduceFn::min)] = reduce<T, Min>;
}

}  // namespace

void fill_reductions(VectorTable& table) {
  fill(table.reduce_f32);
  fill(table.reduce_f64);
  fill(table.reduce_i64);
}

}  // namespace npu::sim::NPU_SIMD
