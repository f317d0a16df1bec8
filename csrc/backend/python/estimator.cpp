// Estimators for tools: the library's kernels on tensors without data, and how long they take.
#include <npu/kernels/attention.h>
#include <npu/kernels/elementwise.h>
#include <npu/kernels/index.h>
#include <npu/kernels/matmul.h>
#include <npu/kernels/reduce.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "csrc/backend/python/bindings.h"
#include "csrc/backend/runtime/check.h"

namespace npu::backend {
namespace {

namespace py = pybind11;
using kernels::Tensor;

struct DataType {
  const char* name;  // as command lines spell it
  npuDataType code;
  int64_t bytes;
};
constexpr DataType kDataTypes[] = {{"f64", NPU_F64, 8},   {"f32", NPU_F32, 4}, {"f16", NPU_F16, 2},
                                   {"bf16", NPU_BF16, 2}, {"i64", NPU_I64, 8}, {"i32", NPU_I32, 4},
                                   {"i16", NPU_I16, 2},   {"i8", NPU_I8, 1}};

std::vector<std::string> data_types() {
  std::vector<std::string> names;
  for (const DataType& type : kDataTypes) names.emplace_back(type.name);
  return names;
}

const DataType& data_type(const std::string& name) {
  std::string known;
  for (const DataType& type : kDataTypes) {
    if (type.name == name) return type;
    known += (known.empty() ? "" : ", ") + std::string(type.name);
  }
  throw py::value_error("dtype '" + name + "'; allowed are " + known);
}

int64_t element_bytes(const Tensor& tensor) {
  for (const DataType& type : kDataTypes) {
    if (type.code == tensor.dtype) return type.bytes;
  }
  return 1;
}

void set_shape(Tensor& tensor, const std::vector<int64_t>& sizes,
               const std::vector<int64_t>& strides) {
  if (sizes.size() > static_cast<size_t>(kernels::kMaxRank) || sizes.size() != strides.size()) {
    throw py::value_error("sizes and strides must be of one length, at most 16");
  }
  tensor.rank = static_cast<int>(sizes.size());
  for (size_t d = 0; d < sizes.size(); ++d) {
    tensor.sizes[d] = sizes[d];
    tensor.strides[d] = strides[d];
  }
}

// A view from element `offset` of the tensor on.
Tensor as_strided(const Tensor& tensor, const std::vector<int64_t>& sizes,
                  const std::vector<int64_t>& strides, int64_t offset) {
  Tensor view = tensor;
  set_shape(view, sizes, strides);
  view.data = static_cast<char*>(tensor.data) + offset * element_bytes(tensor);
  return view;
}

constexpr const char* kEngines[NPU_ENGINE_COUNT] = {"matrix", "vector", "load", "store", "scalar"};

struct Launch {
  std::string_view step;  // see Estimator::step()
  std::string name;
  std::string bound_by;
  npuActivity activity;
};

// Launches added up. Utilisations are of the peaks over the device time of all of them; what bounds
// them is what bounds most of it.
py::dict describe(std::span<const Launch> launches, double launch_ns) {
  double device_ns = 0;
  uint64_t cycles = 0;
  uint64_t hbm_bytes = 0;
  uint64_t macs = 0;
  uint64_t padded_macs = 0;
  double matrix_cycles = 0;
  double hbm_cycles = 0;
  std::array<npuEngineCycles, NPU_ENGINE_COUNT> engines = {};
  std::map<std::string_view, uint64_t> bounds;
  for (const Launch& launch : launches) {
    const npuActivity& a = launch.activity;
    device_ns += a.duration_ns;
    cycles += a.cycles;
    hbm_bytes += a.counters.dma_read_bytes + a.counters.dma_write_bytes;
    macs += a.counters.macs;
    padded_macs += a.counters.padded_macs;
    matrix_cycles += a.matrix_utilization * static_cast<double>(a.cycles);
    hbm_cycles += a.hbm_utilization * static_cast<double>(a.cycles);
    bounds[launch.bound_by] += a.cycles;
    for (size_t i = 0; i < engines.size(); ++i) {
      engines[i].busy += a.engines[i].busy;
      engines[i].stall += a.engines[i].stall;
    }
  }
  const auto share = [&](double part) {
    return cycles == 0 ? 0 : part / static_cast<double>(cycles);
  };
  const auto most = std::ranges::max_element(bounds, {}, [](const auto& b) { return b.second; });
  py::dict busy;
  py::dict stall;
  for (size_t i = 0; i < engines.size(); ++i) {
    busy[kEngines[i]] = engines[i].busy;
    stall[kEngines[i]] = engines[i].stall;
  }
  py::dict result;
  result["ns"] = launch_ns * static_cast<double>(launches.size()) + device_ns;
  result["device_ns"] = device_ns;
  result["launches"] = launches.size();
  result["cycles"] = cycles;
  result["matrix_utilization"] = share(matrix_cycles);
  result["hbm_utilization"] = share(hbm_cycles);
  result["hbm_bytes"] = hbm_bytes;
  result["macs"] = macs;
  result["padded_macs"] = padded_macs;
  result["bound_by"] = most == bounds.end() ? "" : most->first;
  result["busy_cycles"] = busy;
  result["stall_cycles"] = stall;
  return result;
}

class Estimator {
 public:
  Estimator(const std::string& machine, const std::vector<std::string>& overrides) {
    std::vector<const char*> assignments;
    for (const std::string& text : overrides) assignments.push_back(text.c_str());
    NPU_CHECK(npuEstimatorOpen(machine.c_str(), assignments.data(),
                               static_cast<int>(assignments.size()), record, this, &device_));
    NPU_CHECK(npuGetDeviceProperties(device_, &properties_));
    NPU_CHECK(npuDeviceGetDefaultStream(device_, &stream_));
  }
  ~Estimator() { npuEstimatorClose(device_); }
  Estimator(const Estimator&) = delete;
  Estimator& operator=(const Estimator&) = delete;

  npuStream stream() const { return stream_; }

  // Contiguous, in an allocation of its own that lives as long as the estimator.
  Tensor empty(const std::string& dtype, const std::vector<int64_t>& sizes) const {
    const DataType& type = data_type(dtype);
    std::vector<int64_t> strides(sizes.size());
    int64_t bytes = type.bytes;
    for (size_t d = sizes.size(); d-- > 0;) {
      if (sizes[d] < 0) throw py::value_error("a tensor of negative size");
      strides[d] = bytes / type.bytes;
      if (__builtin_mul_overflow(bytes, sizes[d], &bytes)) {
        throw py::value_error("a tensor of more than 2^63 bytes");
      }
    }
    Tensor tensor;
    tensor.dtype = type.code;
    set_shape(tensor, sizes, strides);
    NPU_CHECK(npuMalloc(device_, static_cast<size_t>(bytes), &tensor.data));
    return tensor;
  }

  // Integers that may steer programs, in i32: `values` is a buffer of as many.
  Tensor integers(const py::buffer& values, const std::vector<int64_t>& sizes) const {
    const Tensor tensor = empty("i32", sizes);
    const py::buffer_info info = values.request();
    if (!info.item_type_is_equivalent_to<int32_t>() || info.size != tensor.numel()) {
      throw py::value_error("integers: a buffer of as many i32 as the sizes say is wanted");
    }
    NPU_CHECK(npuMemcpyAsync(tensor.data, info.ptr,
                             static_cast<size_t>(info.size) * sizeof(int32_t), NPU_HOST_TO_DEVICE,
                             stream_));
    return tensor;
  }

  // Names what is launched from now on.
  void step(const std::string& name) { step_ = *names_.insert(name).first; }
  void forget() { launches_.clear(); }
  py::dict total() const {
    py::dict result = describe(launches_, properties_.launch_ns);
    result["hbm_stream_efficiency"] = properties_.hbm_stream_efficiency;
    return result;
  }
  // The launches of each step and kernel added up, in the order in which they first came.
  py::list kernels() const {
    std::vector<std::vector<Launch>> groups;
    for (const Launch& launch : launches_) {
      const auto group = std::ranges::find_if(groups, [&](const std::vector<Launch>& other) {
        return other[0].step == launch.step && other[0].name == launch.name;
      });
      if (group == groups.end()) {
        groups.push_back({launch});
      } else {
        group->push_back(launch);
      }
    }
    py::list result;
    for (const std::vector<Launch>& group : groups) {
      py::dict entry;
      entry["step"] = group[0].step;
      entry["kernel"] = group[0].name;
      entry.attr("update")(describe(group, properties_.launch_ns));
      result.append(entry);
    }
    return result;
  }

 private:
  static void record(const npuActivity* activity, void* self) {
    if (activity->counters.launches == 0) return;  // a copy over the host link
    auto* const estimator = static_cast<Estimator*>(self);
    estimator->launches_.push_back(
        {estimator->step_, activity->name, activity->bound_by, *activity});
  }

  int device_ = -1;
  npuStream stream_ = nullptr;
  npuDeviceProperties properties_ = {};
  std::set<std::string> names_;
  std::string_view step_;
  std::vector<Launch> launches_;
};

kernels::AttentionOptions causal_or_not(const Tensor& q, bool causal) {
  kernels::AttentionOptions options;
  options.scale = 1 / std::sqrt(static_cast<double>(q.sizes[q.rank - 1]));
  options.causal = causal;
  return options;
}

// The library's kernels as methods: nothing but their arguments stands here.
void bind_kernels(py::class_<Estimator>& estimator) {
  estimator.def("copy", [](Estimator& e, const Tensor& dst, const Tensor& src) {
    NPU_CHECK(kernels::copy(dst, src, e.stream()));
  });
  estimator.def("index_select", [](Estimator& e, const Tensor& out, const Tensor& in, int dim,
                                   const Tensor& index) {
    NPU_CHECK(kernels::index_select(out, in, dim, index, e.stream()));
  });
  estimator.def("matmul", [](Estimator& e, const Tensor& out, const Tensor& a, const Tensor& b) {
    NPU_CHECK(kernels::matmul(out, a, b, {}, e.stream()));
  });
  estimator.def(
      "grouped_matmul", [](Estimator& e, const Tensor& out, const Tensor& a, const Tensor& b,
                           const Tensor& ends, const Tensor& gather, int64_t gather_divisor) {
        NPU_CHECK(kernels::grouped_matmul(
            out, a, b, ends, {.gather = gather, .gather_divisor = gather_divisor}, e.stream()));
      });
  estimator.def("grouped_matmul_back",
                [](Estimator& e, const Tensor& out, const Tensor& a, const Tensor& b,
                   const Tensor& ends, const Tensor& scatter, const Tensor& row_scale) {
                  NPU_CHECK(kernels::grouped_matmul(
                      out, a, b, ends, {.scatter = scatter, .row_scale = row_scale}, e.stream()));
                });
  estimator.def("topk", [](Estimator& e, const Tensor& values, const Tensor& indices,
                           const Tensor& in, int dim) {
    NPU_CHECK(kernels::topk(values, indices, in, dim, true, e.stream()));
  });
  estimator.def("sort", [](Estimator& e, const Tensor& values, const Tensor& indices,
                           const Tensor& in, int dim) {
    NPU_CHECK(kernels::sort(values, indices, in, dim, false, e.stream()));
  });
  estimator.def("searchsorted",
                [](Estimator& e, const Tensor& out, const Tensor& sorted, const Tensor& values) {
                  NPU_CHECK(kernels::searchsorted(out, sorted, values, false, e.stream()));
                });
  estimator.def("sum", [](Estimator& e, const Tensor& out, const Tensor& in, int dim) {
    NPU_CHECK(
        kernels::reduce(kernels::Reduction::sum, out, in, uint32_t{1} << dim, 0.0, e.stream()));
  });
  estimator.def("softmax", [](Estimator& e, const Tensor& out, const Tensor& in, int dim) {
    NPU_CHECK(kernels::softmax(out, in, dim, false, e.stream()));
  });
  estimator.def("rms_norm",
                [](Estimator& e, const Tensor& y, const Tensor& x, const Tensor& weight) {
                  NPU_CHECK(kernels::rms_norm(y, x, weight, 1e-5, 0, e.stream()));
                });
  estimator.def("fused_add_rms_norm", [](Estimator& e, const Tensor& y, const Tensor& residual,
                                         const Tensor& x, const Tensor& weight) {
    NPU_CHECK(kernels::fused_add_rms_norm(y, residual, x, weight, 1e-5, 0, e.stream()));
  });
  estimator.def("silu_and_mul", [](Estimator& e, const Tensor& out, const Tensor& x) {
    NPU_CHECK(kernels::gated_activation(kernels::GatedActivation::silu, out, x, e.stream()));
  });
  estimator.def("rotary_embedding", [](Estimator& e, const Tensor& q, const Tensor& k,
                                       const Tensor& positions, const Tensor& cos_sin_cache) {
    NPU_CHECK(kernels::rotary_embedding(q, k, positions, cos_sin_cache, true, e.stream()));
  });
  estimator.def(
      "reshape_and_cache", [](Estimator& e, const Tensor& k_cache, const Tensor& v_cache,
                              const Tensor& key, const Tensor& value, const Tensor& slots) {
        NPU_CHECK(kernels::reshape_and_cache(k_cache, v_cache, key, value, slots, e.stream()));
      });
  estimator.def("attention", [](Estimator& e, const Tensor& out, const Tensor& q, const Tensor& k,
                                const Tensor& v, bool causal) {
    NPU_CHECK(kernels::attention(out, {}, q, k, v, {}, causal_or_not(q, causal), e.stream()));
  });
  estimator.def("paged_attention", [](Estimator& e, const Tensor& out, const Tensor& q,
                                      const Tensor& k_cache, const Tensor& v_cache,
                                      const Tensor& block_table, const Tensor& query_starts,
                                      const Tensor& kv_lens, int64_t max_query_len) {
    NPU_CHECK(kernels::paged_attention(out, q, k_cache, v_cache, block_table, query_starts, kv_lens,
                                       max_query_len, causal_or_not(q, true), e.stream()));
  });
}

}  // namespace

void bind_estimator(py::module_& module) {
  module.def("data_types", data_types);
  py::class_<Tensor>(module, "EstimatorTensor").def("as_strided", as_strided);
  py::class_<Estimator> estimator(module, "Estimator");
  estimator.def(py::init<const std::string&, const std::vector<std::string>&>())
      .def("empty", &Estimator::empty)
      .def("integers", &Estimator::integers)
      .def("step", &Estimator::step)
      .def("forget", &Estimator::forget)
      .def("total", &Estimator::total)
      .def("kernels", &Estimator::kernels);
  bind_kernels(estimator);
}

}  // namespace npu::backend
