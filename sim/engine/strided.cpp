#include "sim/engine/strided.h"

#include <emmintrin.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "sim/engine/simd/vector_table.h"

namespace npu::sim {
namespace {

// Calls f(dst, src) for every index of the dimensions of `shape` but those marked inner.
template <class F>
void for_each_outer(const StridedShape& shape, unsigned inner, std::byte* dst, const std::byte* src,
                    F&& f) {
  std::array<int, kMaxDims> outer;
  int count = 0;
  for (int i = shape.dims - 1; i >= 0; --i) {
    if (!(inner >> i & 1)) outer[count++] = i;  // innermost first
  }
  std::array<int64_t, kMaxDims> index = {};
  while (true) {
    f(dst, src);
    int level = 0;
    for (; level < count; ++level) {
      const int dim = outer[level];
      dst += shape.dst_stride[dim];
      src += shape.src_stride[dim];
      if (++index[level] < shape.size[dim]) break;
      index[level] = 0;
      dst -= shape.dst_stride[dim] * shape.size[dim];
      src -= shape.src_stride[dim] * shape.size[dim];
    }
    if (level == count) return;
  }
}

template <size_t kBytes>
void copy_run(std::byte* dst, const std::byte* src, size_t) {
  std::memcpy(dst, src, kBytes);
}

constexpr size_t kStreamedRun = 4096;  // shorter ones are not worth it

// The run is contiguous on both sides: rows of `bytes`, with the sizes that small tiles have known
// to the compiler.
void copy_runs(const StridedShape& shape, int run, size_t bytes, std::byte* dst,
               const std::byte* src, bool stream) {
  void (*copy)(std::byte*, const std::byte*, size_t) =
      [](std::byte* to, const std::byte* from, size_t count) { std::memcpy(to, from, count); };
  switch (bytes) {
    case 2:
      copy = copy_run<2>;
      break;
    case 4:
      copy = copy_run<4>;
      break;
    case 8:
      copy = copy_run<8>;
      break;
    case 16:
      copy = copy_run<16>;
      break;
    case 32:
      copy = copy_run<32>;
      break;
    default:
      if (stream && bytes >= kStreamedRun) copy = stream_copy;
      break;
  }
  for_each_outer(shape, 1u << run, dst, src,
                 [&](std::byte* to, const std::byte* from) { copy(to, from, bytes); });
}

template <class T>
void copy_line(std::byte* dst, int64_t dst_stride, const std::byte* src, int64_t src_stride,
               int64_t count) {
  const auto element = static_cast<int64_t>(sizeof(T));
  if (dst_stride == element && src_stride == 0) {
    T value;
    std::memcpy(&value, src, sizeof(T));
    std::fill_n(reinterpret_cast<T*>(dst), count, value);
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(dst + i * dst_stride, src + i * src_stride, sizeof(T));
  }
}

using Line = void (*)(std::byte*, int64_t, const std::byte*, int64_t, int64_t);
constexpr Line kLines[] = {copy_line<uint8_t>, copy_line<uint16_t>, copy_line<uint32_t>,
                           copy_line<uint64_t>};

}  // namespace

void stream_copy(std::byte* dst, const std::byte* src, size_t bytes) {
  constexpr size_t kLine = 64;
  size_t done = std::min((kLine - reinterpret_cast<uintptr_t>(dst) % kLine) % kLine, bytes);
  std::memcpy(dst, src, done);
  for (; done + kLine <= bytes; done += kLine) {
    auto* to = reinterpret_cast<__m128i*>(dst + done);
    const auto* from = reinterpret_cast<const __m128i*>(src + done);
    for (int i = 0; i < 4; ++i) _mm_stream_si128(to + i, _mm_loadu_si128(from + i));
  }
  std::memcpy(dst + done, src + done, bytes - done);
}

bool normalize(StridedShape& shape) {
  StridedShape merged;
  for (int i = 0; i < shape.dims; ++i) {
    if (shape.size[i] == 0) return false;
    if (shape.size[i] == 1) continue;
    if (merged.dims > 0) {
      const int last = merged.dims - 1;
      if (merged.dst_stride[last] == shape.dst_stride[i] * shape.size[i] &&
          merged.src_stride[last] == shape.src_stride[i] * shape.size[i]) {
        merged.size[last] *= shape.size[i];
        merged.dst_stride[last] = shape.dst_stride[i];
        merged.src_stride[last] = shape.src_stride[i];
        continue;
      }
    }
    merged.add(shape.size[i], shape.dst_stride[i], shape.src_stride[i]);
  }
  shape = merged;
  return true;
}

void copy_strided(const StridedShape& given, int element_bytes, std::byte* dst,
                  const std::byte* src, bool stream) {
  StridedShape shape = given;
  if (!normalize(shape)) return;
  if (shape.dims == 0) {
    std::memcpy(dst, src, static_cast<size_t>(element_bytes));
    return;
  }
  int dst_unit = -1;
  int src_unit = -1;
  for (int i = 0; i < shape.dims; ++i) {
    if (shape.dst_stride[i] == element_bytes) dst_unit = i;
    if (shape.src_stride[i] == element_bytes) src_unit = i;
  }
  const int code = std::countr_zero(static_cast<unsigned>(element_bytes));
  if (dst_unit >= 0 && dst_unit == src_unit) {
    copy_runs(shape, dst_unit, static_cast<size_t>(shape.size[dst_unit] * element_bytes), dst, src,
              stream);
  } else if (dst_unit >= 0 && src_unit >= 0) {
    const auto transpose = vector_table().transpose[code];
    const int64_t out_ld = shape.dst_stride[src_unit] / element_bytes;
    const int64_t in_ld = shape.src_stride[dst_unit] / element_bytes;
    for_each_outer(shape, 1u << dst_unit | 1u << src_unit, dst, src,
                   [&](std::byte* to, const std::byte* from) {
                     transpose(to, out_ld, from, in_ld, shape.size[dst_unit], shape.size[src_unit]);
                   });
  } else {
    const int line = dst_unit >= 0 ? dst_unit : shape.dims - 1;
    for_each_outer(shape, 1u << line, dst, src, [&](std::byte* to, const std::byte* from) {
      kLines[code](to, shape.dst_stride[line], from, shape.src_stride[line], shape.size[line]);
    });
  }
}

}  // namespace npu::sim
