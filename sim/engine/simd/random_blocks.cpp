// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
#include "sim/engine/simd/simd.h"

namespace npu::sim::NPU_SIMD {
namespace {

constexpr uint32_t kMultiplier0 = 0xD2511F53;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9;
constexpr uint32_t kWeyl1 = 0xBB67AE85;
constexpr int kRounds = 10;
constexpr int kGroup = 16;  // blocks that are worked on side by side

void philox(uint32_t* out, uint64_t key, uint64_t first_block, int64_t blocks) {
  for (int64_t done = 0; done < blocks; done += kGroup) {
    uint32_t words[4][kGroup];
    for (int i = 0; i < kGroup; ++i) {
      const uint64_t block = first_block + static_cast<uint64_t>(done + i);
      words[0][i] = static_cast<uint32_t>(block);
      words[1][i] = static_cast<uint32_t>(block >> 32);
      words[2][i] = 0;
      words[3][i] = 0;
    }
    auto key0 = static_cast<uint32_t>(key);
    auto key1 = static_cast<uint32_t>(key >> 32);
    for (int round = 0; round < kRounds; ++round, key0 += kWeyl0, key1 += kWeyl1) {
      for (int i = 0; i < kGroup; ++i) {
        const uint64_t product0 = uint64_t{kMultiplier0} * words[0][i];
        const uint64_t product1 = uint64_t{kMultiplier1} * words[2][i];
        words[0][i] = static_cast<uint32_t>(product1 >> 32) ^ words[1][i] ^ key0;
        words[1][i] = static_cast<uint32_t>(product1);
        words[2][i] = static_cast<uint32_t>(product0 >> 32) ^ words[3][i] ^ key1;
        words[3][i] = static_cast<uint32_t>(product0);
      }
    }
    const int64_t count = blocks - done < kGroup ? blocks - done : kGroup;
    for (int64_t i = 0; i < count; ++i) {
      for (int word = 0; word < 4; ++word) *out++ = words[word][i];
    }
  }
}

}  // namespace

void fill_random(VectorTable& table) { table.philox = philox; }

}  // namespace npu::sim::NPU_SIMD
