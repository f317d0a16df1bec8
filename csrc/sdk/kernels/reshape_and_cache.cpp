// Writes new keys and values to their slots of the paged KV cache.
#include <array>

#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/iteration.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/paged_cache.h"
#include "csrc/sdk/kernels/sequence_table.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "csrc/sdk/runtime/status.h"
#include "npu/kernels/attention.h"

namespace npu::kernels {
namespace {

constexpr std::string_view kKernel = "reshape_and_cache";
constexpr int64_t kTokens = 256;  // of a tile, at most

struct Variant {
  std::array<DType, 2> from = {DType::bf16, DType::bf16};   // key, value
  std::array<DType, 2> cache = {DType::bf16, DType::bf16};  // of keys, of values
  DType slots = DType::i64;
};

// Elements of a tile of tokens x (heads x head dimension).
int64_t capacity_of(const sim::Machine& machine, const Variant& v) {
  int64_t bytes = 0;
  for (size_t i = 0; i < 2; ++i) {
    bytes += int64_t{2} * sim::size_of(v.from[i]);
    if (v.from[i] != v.cache[i]) bytes += sim::size_of(v.cache[i]);
  }
  constexpr int64_t kIndexBytes = kTokens * 8 * 8;
  return std::min<int64_t>((machine.scratchpad_bytes() - kIndexBytes - 4096) / bytes, 32768);
}

sim::Program build(const sim::Machine& machine, const Variant& v) {
  Builder b(std::string(kKernel), machine);
  const Pointer slot_mapping = b.pointer("slot_mapping");
  const Value slot_stride = b.integer("slot_mapping_stride");
  const Value tokens = b.integer("tokens");
  const Value tokens_each = b.integer("tokens_each");
  const Value heads = b.integer("heads");
  const Value heads_each = b.integer("heads_each");
  const Value chunks = b.integer("chunks");
  const Value block_size = b.integer("block_size");

  const Value token = b.pid() / chunks * tokens_each;
  const Value head = b.pid() % chunks * heads_each;
  const Value token_count = b.min(tokens_each, tokens - token);
  const Value head_count = b.min(heads_each, heads - head);

  const Tile slots = b.tile("slots", v.slots, kTokens);
  const Tile block = b.tile("block", DType::i64, kTokens);
  const Tile offset = b.tile("offset", DType::i64, kTokens);
  const Tile real = b.tile("real", DType::b8, kTokens);
  const Tile inside = b.tile("inside", DType::b8, kTokens);
  b.load(slots, slot_mapping, token * slot_stride, {{token_count, slot_stride}});
  b.vector(BinaryFn::floordiv, block, slots, block_size);
  b.vector(BinaryFn::mul, offset, block, block_size);
  b.vector(BinaryFn::sub, offset, slots, offset);
  b.vector(BinaryFn::ge, real, slots, 0);

  const int64_t capacity = capacity_of(machine, v);
  constexpr std::array kNames = {"key", "value"};
  for (size_t i = 0; i < 2; ++i) {
    const std::string name = kNames[i];
    const Pointer from = b.pointer(name);
    const Pointer cache = b.pointer(name + "_cache");
    const Value dim = b.integer(name + "_dim");
    const Value token_stride = b.integer(name + "_token_stride");
    const Value head_stride = b.integer(name + "_head_stride");
    const Value cache_slots = b.integer(name + "_cache_slots");
    const PagedCache paged(b, name + "_cache");

    Tile rows = b.tile("t" + name, v.from[i], capacity, 2);
    b.load(rows, from, token * token_stride + head * head_stride,
           Region({{token_count, token_stride}}, {{head_count, head_stride}, {dim, 1}}));
    if (v.from[i] != v.cache[i]) {
      const Tile converted = b.tile("c" + name, v.cache[i], capacity);
      b.vector(UnaryFn::copy, converted, rows);
      rows = converted;
    }
    // Slots to skip get an index that is negative whatever the strides are, those beyond the cache
    // one that is refused wherever in its allocation the cache lies.
    const Tile index = b.tile("i" + name, DType::i64, kTokens);
    paged.locate(index, block, offset, index);
    b.vector(BinaryFn::lt, inside, slots, cache_slots);
    b.vector(TernaryFn::where, index, inside, index, Value(kNowhere));
    b.vector(TernaryFn::where, index, real, index, -1);
    b.scatter(cache, head * paged.head_stride(), index, paged.granule(),
              {{head_count, paged.head_stride()}, {dim, 1}}, rows, true);
  }
  return b.finish();
}

npuStatus check_pair(const char* name, const Tensor& cache, const Tensor& from,
                     const Tensor& slots) {
  NPU_RETURN_IF_ERROR(check_tensor(kKernel, name, from));
  NPU_RETURN_IF_ERROR(check_tensor(kKernel, "its cache", cache));
  if (from.rank != 3 || cache.rank != 4) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE,
                      "{}: {} of rank {} and its cache of rank {}; expected are 3 and 4", kKernel,
                      name, from.rank, cache.rank);
  }
  if (from.sizes[0] != slots.sizes[0] || from.sizes[1] != cache.sizes[2] ||
      from.sizes[2] != cache.sizes[3] || cache.sizes[1] < 1) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE,
                      "{}: {} of sizes [{}, {}, {}] with {} slots and a cache of [{}, {}, {}, {}]",
                      kKernel, name, from.sizes[0], from.sizes[1], from.sizes[2], slots.sizes[0],
                      cache.sizes[0], cache.sizes[1], cache.sizes[2], cache.sizes[3]);
  }
  if (from.sizes[2] > 1 && (from.strides[2] != 1 || cache.strides[3] != 1)) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE,
                      "{}: last strides {} of {} and {} of its cache, both must be 1", kKernel,
                      from.strides[2], name, cache.strides[3]);
  }
  if (sim::is_float(static_cast<DType>(from.dtype)) !=
      sim::is_float(static_cast<DType>(cache.dtype))) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: {} is {}, its cache {}", kKernel, name,
                      sim::name(static_cast<DType>(from.dtype)),
                      sim::name(static_cast<DType>(cache.dtype)));
  }
  return NPU_SUCCESS;
}

}  // namespace

npuStatus reshape_and_cache(const Tensor& k_cache, const Tensor& v_cache, const Tensor& key,
                            const Tensor& value, const Tensor& slot_mapping, npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check_sequence_table(kKernel, "slot_mapping", slot_mapping));
    NPU_RETURN_IF_ERROR(check_pair("key", k_cache, key, slot_mapping));
    NPU_RETURN_IF_ERROR(check_pair("value", v_cache, value, slot_mapping));
    if (key.sizes[1] != value.sizes[1] || k_cache.sizes[1] != v_cache.sizes[1]) {
      return sdk::failf(NPU_ERROR_INVALID_VALUE,
                        "{}: {} key heads in blocks of {}, {} value heads in blocks of {}", kKernel,
                        key.sizes[1], k_cache.sizes[1], value.sizes[1], v_cache.sizes[1]);
    }
    const sim::Machine* machine = sdk::machine_of(stream);
    if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
    if (key.numel() == 0 && value.numel() == 0) return NPU_SUCCESS;

    const auto type = [](const Tensor& tensor) { return static_cast<DType>(tensor.dtype); };
    const Variant v{{type(key), type(value)}, {type(k_cache), type(v_cache)}, type(slot_mapping)};
    const int64_t capacity = capacity_of(*machine, v);
    const int64_t dim = std::max(key.sizes[2], value.sizes[2]);
    if (dim > capacity) {
      return sdk::failf(NPU_ERROR_UNIMPLEMENTED, "{}: head dimension {} exceeds a tile of {}",
                        kKernel, dim, capacity);
    }
    int64_t packed = static_cast<int64_t>(v.slots);
    for (size_t i = 0; i < 2; ++i) {
      packed =
          packed << 16 | static_cast<int64_t>(v.from[i]) << 8 | static_cast<int64_t>(v.cache[i]);
    }
    npuKernel kernel = nullptr;
    NPU_RETURN_IF_ERROR(sdk::cached_kernel(
        stream, {kKernel, {packed}}, [&v](const sim::Machine& m) { return build(m, v); }, &kernel));

    // All heads of as many tokens as fit, but no fewer programs than there are cores.
    const int64_t tokens = key.sizes[0];
    const int64_t heads = key.sizes[1];
    const int64_t heads_each = even_part(heads, std::min(heads, capacity / dim));
    const int64_t fits = std::min(capacity / (heads_each * dim), kTokens);
    const int64_t tokens_each = std::min(fits, ceil_div(tokens, machine->core.count));
    const int64_t chunks = ceil_div(heads, heads_each);
    Arguments args;
    pass_sequence_table(args, slot_mapping);
    args.integer(tokens);
    args.integer(tokens_each);
    args.integer(heads);
    args.integer(heads_each);
    args.integer(chunks);
    args.integer(k_cache.sizes[1]);
    const auto pass = [&](const Tensor& from, const Tensor& cache) {
      args.pointer(from.data);
      args.pointer(cache.data);
      args.integer(from.sizes[2]);
      args.integer(from.strides[0]);
      args.integer(from.strides[1]);
      args.integer(cache.sizes[0] * cache.sizes[1]);
      pass_paged_cache(args, cache);
    };
    pass(key, k_cache);
    pass(value, v_cache);
    return launch(kernel, ceil_div(tokens, tokens_each) * chunks, args, stream);
  });
}

sim::Program library_reshape_and_cache(const sim::Machine& machine) { return build(machine, {}); }

}  // namespace npu::kernels
