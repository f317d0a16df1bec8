#include "sim/engine/sort.h"

#include <cstring>
#include <type_traits>
#include <utility>

namespace npu::sim {
namespace {

// A key as an unsigned integer of the same order, and where it stood.
struct Item {
  uint64_t key;
  uint32_t from;
};

template <class T>
uint64_t ordered(T value) {
  if constexpr (std::is_floating_point_v<T>) {
    using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
    if (value != value) return ~Bits{0};
    const Bits bits = std::bit_cast<Bits>(value == 0 ? T(0) : value);
    constexpr Bits kSign = Bits{1} << (8 * sizeof(T) - 1);
    return bits & kSign ? ~bits & ~Bits{0} : bits | kSign;
  } else {
    return static_cast<uint64_t>(value) ^ uint64_t { 1 } << 63;
  }
}

constexpr int kDigitBits = 8;
constexpr int64_t kBuckets = int64_t{1} << kDigitBits;
constexpr int64_t kFewItems = 128;  // where comparing beats counting

// Least significant digit first; digits that all keys share cost one pass of counting.
Item* radix_sort(Item* items, Item* other, int64_t n) {
  for (int shift = 0; shift < 64; shift += kDigitBits) {
    int64_t starts[kBuckets] = {};
    for (int64_t i = 0; i < n; ++i) ++starts[items[i].key >> shift & (kBuckets - 1)];
    if (starts[items[0].key >> shift & (kBuckets - 1)] == n) continue;
    int64_t sum = 0;
    for (int64_t& start : starts) sum += std::exchange(start, sum);
    for (int64_t i = 0; i < n; ++i) {
      other[starts[items[i].key >> shift & (kBuckets - 1)]++] = items[i];
    }
    std::swap(items, other);
  }
  return items;
}

template <class T>
void permute(std::byte* out, const std::byte* in, const Item* items, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    std::memcpy(out + i * static_cast<int64_t>(sizeof(T)), in + items[i].from * sizeof(T),
                sizeof(T));
  }
}

void permute_row(std::byte* copy, std::byte* out, const std::byte* in, int element,
                 const Item* items, int64_t n) {
  std::memcpy(copy, in, static_cast<size_t>(n * element));
  switch (element) {
    case 1:
      return permute<uint8_t>(out, copy, items, n);
    case 2:
      return permute<uint16_t>(out, copy, items, n);
    case 4:
      return permute<uint32_t>(out, copy, items, n);
    default:
      return permute<uint64_t>(out, copy, items, n);
  }
}

}  // namespace

void sort_rows(EngineContext& context, bool descending, const Tile& sorted, const Tile& permuted,
               const Tile& keys, const Tile& payload) {
  const int64_t n = keys.cols;
  if (keys.elements() == 0) return;
  Item* items = context.scratch.get<Item>(Scratch::kIndex, 2 * n);
  std::byte* copy = context.scratch.get<std::byte>(Scratch::kSource1, n * 8);
  dispatch(compute_of(keys.dtype), [&]<class T>(T) {
    T* buffer = context.scratch.get<T>(Scratch::kSource0, n);
    for (int64_t r = 0; r < keys.rows; ++r) {
      const T* row = row_as(context.table, keys, r, buffer);
      for (int64_t i = 0; i < n; ++i) {
        const uint64_t key = ordered(row[i]);
        items[i] = {descending ? ~key : key, static_cast<uint32_t>(i)};
      }
      const Item* order = items;
      if (n <= kFewItems) {
        std::sort(items, items + n, [](const Item& a, const Item& b) {
          return a.key != b.key ? a.key < b.key : a.from < b.from;
        });
      } else {
        order = radix_sort(items, items + n, n);
      }
      permute_row(copy, permuted.row(r), payload.row(r), size_of(payload.dtype), order, n);
      permute_row(copy, sorted.row(r), keys.row(r), size_of(keys.dtype), order, n);
    }
  });
}

}  // namespace npu::sim
