// Random number generators: a seed and an offset of a counter-based sequence (Philox).
#pragma once

#include <ATen/core/Generator.h>

#include <cstdint>
#include <optional>
#include <utility>

namespace npu::backend {

class NpuGenerator final : public c10::GeneratorImpl {
 public:
  explicit NpuGenerator(c10::DeviceIndex device);

  // Claims `count` numbers of the sequence: {seed, offset of the first}. No two calls share one.
  // Takes the generator's mutex.
  std::pair<uint64_t, uint64_t> reserve(uint64_t count);

  // As at::Generator has them; callers hold the mutex, as with other generators.
  void set_current_seed(uint64_t seed) override;
  void set_offset(uint64_t offset) override { offset_ = offset; }
  uint64_t get_offset() const override { return offset_; }
  uint64_t current_seed() const override { return seed_; }
  uint64_t seed() override;
  // 16 bytes: seed and offset.
  void set_state(const c10::TensorImpl& state) override;
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override;

  static c10::DeviceType device_type() { return c10::kPrivateUse1; }

 private:
  NpuGenerator* clone_impl() const override;

  uint64_t seed_ = c10::default_rng_seed_val;
  uint64_t offset_ = 0;
};

// Of the current device where `device` is negative.
const at::Generator& default_generator(c10::DeviceIndex device = -1);

// The generator that a random operator was given, or its device's default one. Throws for a
// generator of another device type.
NpuGenerator& generator_for(const std::optional<at::Generator>& generator, c10::DeviceIndex device);

}  // namespace npu::backend
