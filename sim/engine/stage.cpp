#include "sim/engine/stage.h"

#include <cstring>

#include "sim/engine/strided.h"

namespace npu::sim {
namespace {

template <class T>
class Runner {
 public:
  Runner(const VectorTable& table, const Stage& stage, const Block& block)
      : table_(table), stage_(stage), block_(block) {}

  void elementwise() const {
    const bool whole = is_whole();
    const int64_t calls = whole ? 1 : block_.rows;
    const int64_t n = whole ? block_.rows * block_.cols : block_.cols;
    const bool direct = stage_.out.dtype == kStorage;
    for (int64_t call = 0; call < calls; ++call) {
      if (stage_.copy && stage_.source[0].kind == Source::kFull) {
        copy(call, n);
        continue;
      }
      std::array<Span<T>, 3> spans;
      for (int i = 0; i < stage_.sources; ++i) spans[i] = span_of(stage_.source[i], call, n);
      T* out = reinterpret_cast<T*>(direct ? stage_.out.row(block_, call) : stage_.spare);
      compute(out, spans, n);
      if (!direct) store_as(table_, stage_.out.dtype, stage_.out.row(block_, call), out, n);
    }
    if (stage_.stream) carry();
  }

  void reduce() const {
    const auto fold = ComputeTraits<T>::reduction(table_, stage_.fn);
    for (int64_t i = 0; i < block_.rows; ++i) {
      const T result = fold(read(stage_.source[0], i, block_.cols), block_.cols);
      std::byte* out =
          stage_.out.data + (block_.row + i) * stage_.out.ld * size_of(stage_.out.dtype);
      store_as(table_, stage_.out.dtype, out, &result, 1);
    }
  }

 private:
  static constexpr DType kStorage = ComputeTraits<T>::kStorage;

  // Is everything contiguous, or one value?
  bool is_whole() const {
    bool whole = stage_.out.contiguous(block_);
    for (int i = 0; i < stage_.sources; ++i) {
      const Source& source = stage_.source[i];
      whole &= source.kind == Source::kScalar || block_.rows == 1 ||
               (source.kind == Source::kFull && source.place.contiguous(block_));
    }
    return whole;
  }

  Span<T> span_of(const Source& source, int64_t i, int64_t n) const {
    const auto* data = reinterpret_cast<const T*>(source.place.data);
    switch (source.kind) {
      case Source::kScalar:
        return {reinterpret_cast<const T*>(&source.value), true};
      case Source::kColumn:
        return {data + (block_.row + i) * source.place.ld, true};
      case Source::kRow:
        return {data + block_.col, false};
      default:
        return {read(source, i, n), false};
    }
  }

  const T* read(const Source& source, int64_t i, int64_t n) const {
    const std::byte* data = source.place.row(block_, i);
    if (!source.convert) return reinterpret_cast<const T*>(data);
    T* out = reinterpret_cast<T*>(source.converted.row(block_, i));
    load_elements(table_, out, source, data, n);
    return out;
  }

  // Without a stop in compute type where the elements are stored in it on one side, or move.
  void copy(int64_t i, int64_t n) const {
    const DType from = stage_.source[0].place.dtype;
    const DType to = stage_.out.dtype;
    const std::byte* data = stage_.source[0].place.row(block_, i);
    std::byte* out = stage_.out.row(block_, i);
    if (from == to) {
      if (out != data) std::memcpy(out, data, static_cast<size_t>(n * size_of(from)));
    } else if (from == kStorage) {
      store_as(table_, to, out, reinterpret_cast<const T*>(data), n);
    } else if (to == kStorage) {
      load_as(table_, reinterpret_cast<T*>(out), from, data, n);
    } else {
      constexpr int64_t kStep = 512;
      T buffer[kStep];
      for (int64_t done = 0; done < n; done += kStep) {
        const int64_t count = std::min(kStep, n - done);
        load_as(table_, buffer, from, data + done * size_of(from), count);
        store_as(table_, to, out + done * size_of(to), buffer, count);
      }
    }
  }

  void compute(T* out, const std::array<Span<T>, 3>& in, int64_t n) const {
    using Table = ElementwiseTable<T>;
    switch (stage_.op) {
      case Opcode::v_unary:
        return reinterpret_cast<typename Table::Unary>(stage_.function)(out, in[0].data, n);
      case Opcode::v_binary:
        return reinterpret_cast<typename Table::Binary>(stage_.function)(out, in[0], in[1], n);
      default:
        return reinterpret_cast<typename Table::Ternary>(stage_.function)(out, in[0], in[1], in[2],
                                                                          n);
    }
  }

  void carry() const {
    const bool whole = stage_.memory.contiguous(block_);
    const int64_t n = whole ? block_.rows * block_.cols : block_.cols;
    for (int64_t i = 0; i < (whole ? 1 : block_.rows); ++i) {
      stream_copy(stage_.memory.row(block_, i), stage_.out.row(block_, i),
                  static_cast<size_t>(n * size_of(stage_.out.dtype)));
    }
  }

  const VectorTable& table_;
  const Stage& stage_;
  const Block& block_;
};

}  // namespace

void run_stage(const VectorTable& table, const Stage& stage, const Block& block) {
  dispatch(stage.compute, [&]<class T>(T) {
    const Runner<T> runner(table, stage, block);
    if (stage.op == Opcode::v_reduce) {
      runner.reduce();
    } else {
      runner.elementwise();
    }
  });
}

}  // namespace npu::sim
