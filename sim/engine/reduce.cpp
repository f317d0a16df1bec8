#include "sim/engine/reduce.h"

#include <cmath>
#include <limits>
#include <type_traits>

#include "sim/error.h"

namespace npu::sim {
namespace {

bool is_truth(ReduceFn fn) { return fn == ReduceFn::any || fn == ReduceFn::all; }
bool is_index(ReduceFn fn) { return fn == ReduceFn::argmax || fn == ReduceFn::argmin; }

// any and all are the maximum and minimum of truth values; arg functions look for an extreme.
ReduceFn base(ReduceFn fn) {
  switch (fn) {
    case ReduceFn::any:
    case ReduceFn::argmax:
      return ReduceFn::max;
    case ReduceFn::all:
    case ReduceFn::argmin:
      return ReduceFn::min;
    default:
      return fn;
  }
}

BinaryFn combining(ReduceFn fn) {
  switch (base(fn)) {
    case ReduceFn::sum:
      return BinaryFn::add;
    case ReduceFn::prod:
      return BinaryFn::mul;
    case ReduceFn::max:
      return BinaryFn::max;
    default:
      return BinaryFn::min;
  }
}

template <class T>
T neutral(ReduceFn fn) {
  using Limits = std::numeric_limits<T>;
  switch (fn) {
    case ReduceFn::prod:
    case ReduceFn::all:
      return 1;
    case ReduceFn::max:
      return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
    case ReduceFn::min:
      return Limits::has_infinity ? Limits::infinity() : Limits::max();
    default:
      return 0;
  }
}

template <class T>
bool is_nan(T x) {
  return x != x;
}

template <class T>
int64_t first_of(const T* data, int64_t n, T extreme) {
  const bool nan = is_nan(extreme);
  for (int64_t i = 0; i < n; ++i) {
    if (nan ? is_nan(data[i]) : data[i] == extreme) return i;
  }
  return 0;
}

template <class T>
class Reduction {
 public:
  Reduction(EngineContext& context, ReduceFn fn, const Tile& src)
      : table_(context.table),
        fn_(fn),
        src_(src),
        span_(ComputeTraits<T>::reduction(table_, static_cast<int>(base(fn)))),
        combine_(ComputeTraits<T>::elementwise(table_).binary[static_cast<int>(combining(fn))]),
        truth_(ComputeTraits<T>::elementwise(table_).binary[static_cast<int>(BinaryFn::ne)]) {}

  // One result for each row.
  void over_columns(T* values, int64_t* indices, T* buffer) const {
    for (int64_t r = 0; r < src_.rows; ++r) {
      const T* row = row_as(table_, src_, r, buffer);
      if (is_truth(fn_)) {
        const T zero = 0;
        truth_(buffer, {row, false}, {&zero, true}, src_.cols);
        row = buffer;
      }
      values[r] = span_(row, src_.cols);
      if (is_index(fn_)) indices[r] = first_of(row, src_.cols, values[r]);
    }
  }

  // One result for each column: strips of columns, rows combined pairwise above kLeafRows.
  void over_rows(T* values, int64_t* indices) const {
    for (int64_t c = 0; c < src_.cols; c += kStrip) {
      const int64_t width = std::min(kStrip, src_.cols - c);
      if (is_index(fn_)) {
        extreme_rows(values + c, indices + c, c, width);
      } else {
        combine_rows(values + c, c, width, 0, src_.rows);
      }
    }
  }

 private:
  static constexpr int64_t kStrip = 512;
  static constexpr int64_t kLeafRows = 16;

  const T* strip(int64_t r, int64_t c, int64_t width, T* buffer) const {
    const std::byte* data = src_.row(r) + c * size_of(src_.dtype);
    const T* values = reinterpret_cast<const T*>(data);
    if (src_.dtype != ComputeTraits<T>::kStorage) {
      load_as(table_, buffer, src_.dtype, data, width);
      values = buffer;
    }
    if (is_truth(fn_)) {
      const T zero = 0;
      truth_(buffer, {values, false}, {&zero, true}, width);
      values = buffer;
    }
    return values;
  }

  void combine_rows(T* values, int64_t c, int64_t width, int64_t first, int64_t last) const {
    T buffer[kStrip];
    if (last - first <= kLeafRows) {
      std::copy_n(strip(first, c, width, buffer), width, values);
      for (int64_t r = first + 1; r < last; ++r) {
        combine_(values, {values, false}, {strip(r, c, width, buffer), false}, width);
      }
      return;
    }
    const int64_t middle = first + (last - first) / 2;
    combine_rows(values, c, width, first, middle);
    combine_rows(buffer, c, width, middle, last);
    combine_(values, {values, false}, {buffer, false}, width);
  }

  void extreme_rows(T* values, int64_t* indices, int64_t c, int64_t width) const {
    T buffer[kStrip];
    const bool largest = fn_ == ReduceFn::argmax;
    std::copy_n(strip(0, c, width, buffer), width, values);
    std::fill_n(indices, width, 0);
    for (int64_t r = 1; r < src_.rows; ++r) {
      const T* row = strip(r, c, width, buffer);
      for (int64_t i = 0; i < width; ++i) {
        const bool beyond = largest ? row[i] > values[i] : row[i] < values[i];
        if (!is_nan(values[i]) && (beyond || is_nan(row[i]))) {
          values[i] = row[i];
          indices[i] = r;
        }
      }
    }
  }

  const VectorTable& table_;
  ReduceFn fn_;
  const Tile& src_;
  T (*span_)(const T*, int64_t);
  typename ElementwiseTable<T>::Binary combine_;
  typename ElementwiseTable<T>::Binary truth_;
};

template <class T>
T log_add_exp(T x, T y) {
  if (is_nan(x) || is_nan(y)) return x + y;
  const T low = std::min(x, y);
  const T high = std::max(x, y);
  if (low == high && !(high - high == 0)) return high;  // both the same infinity
  return high + std::log1p(std::exp(low - high));
}

template <class T>
void scan_row(ScanFn fn, T* row, int64_t n) {
  constexpr bool kFloating = std::is_floating_point_v<T>;
  using Wide = std::conditional_t<kFloating, double, uint64_t>;
  switch (fn) {
    case ScanFn::sum: {
      Wide total = 0;
      for (int64_t i = 0; i < n; ++i) row[i] = static_cast<T>(total += static_cast<Wide>(row[i]));
      return;
    }
    case ScanFn::prod: {
      Wide total = 1;
      for (int64_t i = 0; i < n; ++i) row[i] = static_cast<T>(total *= static_cast<Wide>(row[i]));
      return;
    }
    case ScanFn::max:
      for (int64_t i = 1; i < n; ++i) {
        if (is_nan(row[i - 1]) || row[i] < row[i - 1]) row[i] = row[i - 1];
      }
      return;
    case ScanFn::min:
      for (int64_t i = 1; i < n; ++i) {
        if (is_nan(row[i - 1]) || row[i] > row[i - 1]) row[i] = row[i - 1];
      }
      return;
    case ScanFn::logsumexp:
      if constexpr (kFloating) {
        double total = n > 0 ? row[0] : 0;
        for (int64_t i = 1; i < n; ++i) {
          row[i] = static_cast<T>(total = log_add_exp<double>(total, row[i]));
        }
      }
      return;
  }
}

}  // namespace

void reduce(EngineContext& context, ReduceFn fn, bool rows, const Tile& dst, const Tile& src) {
  const Compute own = compute_of(src.dtype);
  const bool by_source = is_truth(fn) || is_index(fn);
  const int64_t results = dst.elements();
  if (results == 0) return;
  dispatch(by_source ? own : common(own, compute_of(dst.dtype)), [&]<class T>(T) {
    T* values = context.scratch.get<T>(Scratch::kDestination, results);
    int64_t* indices = nullptr;
    if (is_index(fn)) indices = context.scratch.get<int64_t>(Scratch::kIndex, results);
    if (src.elements() == 0) {
      if (is_index(fn)) {
        throw MachineError(ErrorKind::kShape, "argmax and argmin of nothing are not defined");
      }
      std::fill_n(values, results, neutral<T>(fn));
    } else {
      const Reduction<T> reduction(context, fn, src);
      if (rows) {
        reduction.over_rows(values, indices);
      } else {
        reduction.over_columns(values, indices,
                               context.scratch.get<T>(Scratch::kSource0, src.cols));
      }
    }
    if (is_index(fn)) {
      store_as(context.table, dst.dtype, dst.data, indices, results);
    } else {
      store_as(context.table, dst.dtype, dst.data, values, results);
    }
  });
}

void scan(EngineContext& context, ScanFn fn, const Tile& dst, const Tile& src) {
  const Compute compute = common(compute_of(src.dtype), compute_of(dst.dtype));
  if (fn == ScanFn::logsumexp && compute == Compute::i64) {
    throw MachineError(ErrorKind::kUnimplemented, "v.scan.logsumexp is not defined for integers");
  }
  dispatch(compute, [&]<class T>(T) {
    T* row = context.scratch.get<T>(Scratch::kDestination, src.cols);
    for (int64_t r = 0; r < src.rows; ++r) {
      load_as(context.table, row, src.dtype, src.row(r), src.cols);
      scan_row(fn, row, src.cols);
      store_as(context.table, dst.dtype, dst.row(r), row, src.cols);
    }
  });
}

}  // namespace npu::sim
