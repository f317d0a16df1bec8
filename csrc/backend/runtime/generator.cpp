#include "csrc/backend/runtime/generator.h"

#include <ATen/Utils.h>
#include <ATen/ops/empty.h>

#include <array>
#include <cstring>
#include <deque>

#include "csrc/backend/runtime/device.h"

namespace npu::backend {

NpuGenerator::NpuGenerator(c10::DeviceIndex device)
    : GeneratorImpl({c10::kPrivateUse1, device},
                    c10::DispatchKeySet(c10::DispatchKey::PrivateUse1)) {}

std::pair<uint64_t, uint64_t> NpuGenerator::reserve(uint64_t count) {
  const std::scoped_lock lock(mutex_);
  const uint64_t first = offset_;
  offset_ += count;
  return {seed_, first};
}

void NpuGenerator::set_current_seed(uint64_t seed) {
  seed_ = seed;
  offset_ = 0;
}

uint64_t NpuGenerator::seed() {
  set_current_seed(c10::detail::getNonDeterministicRandom());
  return seed_;
}

void NpuGenerator::set_state(const c10::TensorImpl& state) {
  at::detail::check_rng_state(state);
  std::array<uint64_t, 2> values;
  TORCH_CHECK(state.numel() == sizeof(values), "the state of an npu generator has ", sizeof(values),
              " bytes, got ", state.numel());
  std::memcpy(values.data(), state.data_dtype_initialized<uint8_t>(), sizeof(values));
  seed_ = values[0];
  offset_ = values[1];
}

c10::intrusive_ptr<c10::TensorImpl> NpuGenerator::get_state() const {
  const std::array<uint64_t, 2> values = {seed_, offset_};
  const at::Tensor state = at::empty({sizeof(values)}, at::TensorOptions(at::kByte));
  std::memcpy(state.mutable_data_ptr(), values.data(), sizeof(values));
  return state.getIntrusivePtr();
}

NpuGenerator* NpuGenerator::clone_impl() const {
  auto* const copy = new NpuGenerator(device().index());
  copy->seed_ = seed_;
  copy->offset_ = offset_;
  return copy;
}

const at::Generator& default_generator(c10::DeviceIndex device) {
  static const auto* const generators = [] {
    auto* const all = new std::deque<at::Generator>;
    for (c10::DeviceIndex i = 0; i < device_count(); ++i) {
      all->push_back(at::make_generator<NpuGenerator>(i));
    }
    return all;
  }();
  device = device_or_current(device);
  // Seeding must not initialise the device, which would forbid forking; a wrong index may.
  if (C10_UNLIKELY(device >= device_count())) check_device_index(device);
  return (*generators)[device];
}

NpuGenerator& generator_for(const std::optional<at::Generator>& generator,
                            c10::DeviceIndex device) {
  return *at::get_generator_or_default<NpuGenerator>(generator, default_generator(device));
}

}  // namespace npu::backend
