// Rotary embedding, in place. A tile is some tokens of some heads: many heads where tokens are few,
// so that there are few tiles. Cosines and sines are fetched once for each row of a tile, and serve
// all tiles of the program.
#include <algorithm>
#include <array>
#include <vector>

#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/iteration.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/sequence_table.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "csrc/sdk/runtime/status.h"
#include "npu/kernels/attention.h"

namespace npu::kernels {
namespace {

constexpr std::string_view kKernel = "rotary_embedding";
constexpr int64_t kMostRows = 256;

struct Variant {
  DType type = DType::bf16;   // of q and k
  DType cache = DType::bf16;  // of cos_sin_cache
  DType positions = DType::i64;
  bool neox = true;
  bool has_k = true;

  DType compute() const {
    return type == DType::f64 || cache == DType::f64 ? DType::f64 : DType::f32;
  }
  int64_t key() const {
    return static_cast<int64_t>(type) << 24 | static_cast<int64_t>(cache) << 16 |
           static_cast<int64_t>(positions) << 8 | static_cast<int64_t>(neox) << 1 |
           static_cast<int64_t>(has_k);
  }
};

// Elements of a tile of half the rotated dimensions.
int64_t capacity_of(const sim::Machine& machine, const Variant& v) {
  const int64_t angles = 2 * (int64_t{2} * sim::size_of(v.cache) + sim::size_of(v.compute()));
  const int64_t halves = sim::size_of(v.compute()) + int64_t{4} * sim::size_of(v.type);
  const int64_t whole = int64_t{2} * load_buffers(machine) * sim::size_of(v.type);
  constexpr int64_t kIndexBytes = kMostRows * 34;
  constexpr int64_t kMostElements = 16384;
  return std::min((machine.scratchpad_bytes() - kIndexBytes - 4096) / (angles + halves + whole),
                  kMostElements);
}

class ProgramWriter {
 public:
  ProgramWriter(const sim::Machine& machine, const Variant& variant)
      : v_(variant), b_(std::string(kKernel), machine) {}

  sim::Program write() {
    cache_ = b_.pointer("cos_sin_cache");
    const Pointer positions = b_.pointer("positions");
    cache_stride_ = b_.integer("cache_stride");
    const Value position_stride = b_.integer("position_stride");
    const Value cache_rows = b_.integer("cache_rows");
    half_ = b_.integer("half");
    const Value tokens = b_.integer("tokens");
    const Value tokens_each = b_.integer("tokens_each");

    const int64_t capacity = capacity_of(b_.machine(), v_);
    rows_ = b_.tile("rows", v_.type, 2 * capacity, load_buffers(b_.machine()));
    first_ = b_.tile("first", v_.type, capacity);
    second_ = b_.tile("second", v_.type, capacity);
    new_first_ = b_.tile("new_first", v_.type, capacity);
    new_second_ = b_.tile("new_second", v_.type, capacity);
    product_ = b_.tile("product", v_.compute(), capacity);
    const Tile position = b_.tile("position", v_.positions, kMostRows);
    const Tile above = b_.tile("above", DType::b8, kMostRows);
    const Tile below = b_.tile("below", DType::b8, kMostRows);
    index_ = b_.tile("index", DType::i64, kMostRows);

    token_ = b_.pid() * tokens_each;
    token_count_ = b_.min(tokens_each, tokens - token_);
    b_.load(position, positions, token_ * position_stride, {{token_count_, position_stride}});
    // Other rows may follow the cache's within its allocation: positions outside go far away.
    b_.vector(BinaryFn::ge, above, position, cache_rows);
    b_.vector(BinaryFn::lt, below, position, 0);
    b_.vector(BinaryFn::lor, above, above, below);
    b_.vector(TernaryFn::where, index_, above, Value(kNowhere), position);
    b_.reshape(index_, token_count_, 1);

    std::vector<Heads> all = {declare("q")};
    if (v_.has_k) all.push_back(declare("k"));
    for (const Heads& x : all) fetch(x);
    for (const Heads& x : all) b_.vector(UnaryFn::neg, x.minus_sin, x.sin);
    for (const Heads& x : all) rotate(x);
    return b_.finish();
  }

 private:
  struct Heads {
    Pointer pointer;
    Value heads, heads_tile, token_stride, head_stride;
    Tile cos, sin, minus_sin;  // a row for each of a tile
    Tile index;                // their rows of the cache
  };

  // The arguments and tiles of one tensor.
  Heads declare(const std::string& name) {
    const int64_t capacity = capacity_of(b_.machine(), v_);
    const Heads x{b_.pointer(name),
                  b_.integer(name + "_heads"),
                  b_.integer(name + "_heads_tile"),
                  b_.integer(name + "_token_stride"),
                  b_.integer(name + "_head_stride"),
                  b_.tile(name + "_cos", v_.cache, capacity),
                  b_.tile(name + "_sin", v_.cache, capacity),
                  b_.tile(name + "_minus_sin", v_.compute(), capacity),
                  b_.tile(name + "_index", DType::i64, kMostRows)};
    b_.expand(x.index, index_, token_count_, x.heads_tile);
    return x;
  }

  // Nothing is computed between the fetches, so that they are under way at the same time.
  void fetch(const Heads& x) {
    b_.gather(x.cos, cache_, 0, x.index, cache_stride_, {{half_, 1}});
    b_.gather(x.sin, cache_, half_, x.index, cache_stride_, {{half_, 1}});
  }

  void rotate(const Heads& x) {
    b_.loop(x.heads / x.heads_tile, [&](const Value& number) {
      const Value offset = token_ * x.token_stride + number * x.heads_tile * x.head_stride;
      const Region region({{token_count_, x.token_stride}, {x.heads_tile, x.head_stride}},
                          {{half_ * 2, 1}});
      b_.load(rows_, x.pointer, offset, region);
      rotate_rows(x, token_count_ * x.heads_tile);
      b_.store(x.pointer, offset, region, rows_);
    });
  }

  void rotate_rows(const Heads& x, const Value& rows) {
    const Value pairs = rows * half_;
    // Interleaved pairs become the two columns of a tall tile.
    if (!v_.neox) b_.reshape(rows_, pairs, 2);
    const Value height = v_.neox ? rows : pairs;
    const Value width = v_.neox ? half_ : Value(1);
    b_.slice(first_, rows_, 0, 0, height, width);
    b_.slice(second_, rows_, 0, width, height, width);
    if (!v_.neox) {
      b_.reshape(first_, rows, half_);
      b_.reshape(second_, rows, half_);
    }
    b_.vector(BinaryFn::mul, product_, first_, x.cos);
    b_.vector(TernaryFn::fma, new_first_, second_, x.minus_sin, product_);
    b_.vector(BinaryFn::mul, product_, second_, x.cos);
    b_.vector(TernaryFn::fma, new_second_, first_, x.sin, product_);
    if (!v_.neox) {
      b_.reshape(new_first_, height, width);
      b_.reshape(new_second_, height, width);
    }
    b_.insert(rows_, new_first_, 0, 0);
    b_.insert(rows_, new_second_, 0, width);
    if (!v_.neox) b_.reshape(rows_, rows, half_ * 2);
  }

  const Variant& v_;
  Builder b_;
  Pointer cache_;
  Value cache_stride_ = 0, half_ = 0, token_ = 0, token_count_ = 0;
  Tile rows_, first_, second_, new_first_, new_second_, product_;
  Tile index_;  // the tokens' rows of the cache
};

npuStatus check_rows(const char* name, const Tensor& x, const Tensor& q, const Tensor& positions,
                     int64_t rotary_dim) {
  NPU_RETURN_IF_ERROR(check_tensor(kKernel, name, x));
  const auto type = static_cast<DType>(x.dtype);
  if (!sim::is_float(type) || x.dtype != q.dtype) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE,
                      "{}: {} is {}, q {}; both must be of one floating type", kKernel, name,
                      sim::name(type), sim::name(static_cast<DType>(q.dtype)));
  }
  if (x.rank != 3 || x.sizes[0] != positions.sizes[0] || rotary_dim > x.sizes[2]) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE,
                      "{}: {} of rank {} and sizes [{}, {}, {}] with {} positions and {} rotated "
                      "dimensions",
                      kKernel, name, x.rank, x.sizes[0], x.sizes[1], x.sizes[2], positions.sizes[0],
                      rotary_dim);
  }
  if (x.strides[2] != 1 && x.sizes[2] > 1) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: {} has last stride {}, it must be 1", kKernel,
                      name, x.strides[2]);
  }
  return NPU_SUCCESS;
}

npuStatus check(const Tensor& q, const Tensor& k, const Tensor& positions, const Tensor& cache) {
  NPU_RETURN_IF_ERROR(check_sequence_table(kKernel, "positions", positions));
  NPU_RETURN_IF_ERROR(check_tensor(kKernel, "cos_sin_cache", cache));
  if (cache.rank != 2 || cache.sizes[1] < 2 || cache.sizes[1] % 2 != 0 || (cache.strides[1] != 1) ||
      !sim::is_float(static_cast<DType>(cache.dtype))) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE,
                      "{}: cos_sin_cache of rank {}, {} columns, column stride {} and type {}; "
                      "expected are 2, an even number, 1 and a floating type",
                      kKernel, cache.rank, cache.sizes[1], cache.strides[1],
                      sim::name(static_cast<DType>(cache.dtype)));
  }
  NPU_RETURN_IF_ERROR(check_rows("q", q, q, positions, cache.sizes[1]));
  if (k.defined()) NPU_RETURN_IF_ERROR(check_rows("k", k, q, positions, cache.sizes[1]));
  return NPU_SUCCESS;
}

// The most heads that fill tiles evenly.
int64_t heads_of_tile(int64_t heads, int64_t most) {
  int64_t tile = std::clamp<int64_t>(most, 1, std::max<int64_t>(heads, 1));
  while (heads % tile != 0) --tile;
  return tile;
}

}  // namespace

npuStatus rotary_embedding(const Tensor& q, const Tensor& k, const Tensor& positions,
                           const Tensor& cos_sin_cache, bool neox, npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check(q, k, positions, cos_sin_cache));
    const sim::Machine* machine = sdk::machine_of(stream);
    if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
    const int64_t tokens = q.sizes[0];
    const int64_t heads = q.sizes[1];
    if (tokens == 0 || heads == 0) return NPU_SUCCESS;

    const Variant v{static_cast<DType>(q.dtype), static_cast<DType>(cos_sin_cache.dtype),
                    static_cast<DType>(positions.dtype), neox, k.defined()};
    const int64_t half = cos_sin_cache.sizes[1] / 2;
    const int64_t capacity = capacity_of(*machine, v);
    if (half > capacity) {
      return sdk::failf(NPU_ERROR_UNIMPLEMENTED, "{}: {} rotated dimensions exceed a tile of {}",
                        kKernel, 2 * half, 2 * capacity);
    }
    npuKernel kernel = nullptr;
    NPU_RETURN_IF_ERROR(sdk::cached_kernel(
        stream, {kKernel, {v.key()}},
        [&v](const sim::Machine& m) { return ProgramWriter(m, v).write(); }, &kernel));

    const int64_t rows = std::min(capacity / half, kMostRows);
    const int64_t tokens_each = std::min(rows, ceil_div(tokens, machine->core.count));
    Arguments args;
    args.pointer(cos_sin_cache.data);
    args.pointer(positions.data);
    for (const int64_t value : {cos_sin_cache.strides[0], positions.strides[0],
                                cos_sin_cache.sizes[0], half, tokens, tokens_each}) {
      args.integer(value);
    }
    const auto pass = [&](const Tensor& x) {
      args.pointer(x.data);
      for (const int64_t value : {x.sizes[1], heads_of_tile(x.sizes[1], rows / tokens_each),
                                  x.strides[0], x.strides[1]}) {
        args.integer(value);
      }
    };
    pass(q);
    if (k.defined()) pass(k);
    return launch(kernel, ceil_div(tokens, tokens_each), args, stream);
  });
}

sim::Program library_rotary_embedding(const sim::Machine& machine) {
  const Variant variant;
  return ProgramWriter(machine, variant).write();
}

}  // namespace npu::kernels
