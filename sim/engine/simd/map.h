// Loops over spans, from functions of one element or one register.
#pragma once

#include <type_traits>

#include "sim/engine/simd/simd.h"

namespace npu::sim::NPU_SIMD {

// Functions of one element, F::f(x...): the compiler vectorises these. In-place use is the only
// overlap allowed, hence ivdep.
template <class T, class F>
void map1(T* out, const T* a, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) out[i] = F::f(a[i]);
}

// Calls loop(read) with functions of the index that read the operands, one instance of the loop
// for each combination of broadcast operands.
template <class T, class Loop>
inline void with_operand(Span<T> a, Loop&& loop) {
  if (a.broadcast) {
    const T value = *a.data;
    loop([value](int64_t) { return value; });
  } else {
    const T* data = a.data;
    loop([data](int64_t i) { return data[i]; });
  }
}

template <class T, class F>
void map2(T* out, Span<T> a, Span<T> b, int64_t n) {
  with_operand(a, [&](auto x) {
    with_operand(b, [&](auto y) {
      T* const to = out;
      const int64_t count = n;
#pragma GCC ivdep
      for (int64_t i = 0; i < count; ++i) to[i] = F::f(x(i), y(i));
    });
  });
}

template <class T, class F>
void map3(T* out, Span<T> a, Span<T> b, Span<T> c, int64_t n) {
  with_operand(a, [&](auto x) {
    with_operand(b, [&](auto y) {
      with_operand(c, [&](auto z) {
        T* const to = out;
        const int64_t count = n;
#pragma GCC ivdep
        for (int64_t i = 0; i < count; ++i) to[i] = F::f(x(i), y(i), z(i));
      });
    });
  });
}

// Functions of one register.
template <class T, class F>
void map1_register(T* out, const T* a, int64_t n) {
  using V = Register<T>;
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) store(out + i, F::f(load<V>(a + i)));
  if (i < n) store_tail(out + i, F::f(load_tail(a + i, n - i)), n - i);
}

template <class T>
inline Register<T> fill_register(T value) {
  return value - Register<T>{};  // keeps the sign of a zero
}

template <class T, class F>
void map2_register(T* out, Span<T> a, Span<T> b, int64_t n) {
  using V = Register<T>;
  V x = a.broadcast ? fill_register(*a.data) : V{};
  V y = b.broadcast ? fill_register(*b.data) : V{};
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    if (!a.broadcast) x = load<V>(a.data + i);
    if (!b.broadcast) y = load<V>(b.data + i);
    store(out + i, F::f(x, y));
  }
  if (i < n) {
    if (!a.broadcast) x = load_tail(a.data + i, n - i);
    if (!b.broadcast) y = load_tail(b.data + i, n - i);
    store_tail(out + i, F::f(x, y), n - i);
  }
}

}  // namespace npu::sim::NPU_SIMD
