// Counter-based random numbers: what an element gets depends on its seed and its number alone.
//
// Block `b` of seed `s` is Philox4x32-10 with the key words (s mod 2^32, s / 2^32) and the counter
// words (b mod 2^32, b / 2^32, 0, 0); its four 32-bit words are w[0..3]. Element e of a tile, in
// row-major order, has the number i = counter + e (mod 2^64). Numbers up to 32 bits wide take one
// word each: element i has w = w[i mod 4] of block i / 4. 64-bit ones take two: v = w[2 * (i mod
// 2)]
// + 2^32 * w[2 * (i mod 2) + 1] of block i / 2.
//
//   bits     i32: w; i64: v
//   uniform  f32: (w >> 8) * 2^-24; f16: (w >> 21) * 2^-11; bf16: (w >> 24) * 2^-8;
//            f64: (v >> 11) * 2^-53. All below 1.
//   normal   Box-Muller on the pair of elements (i, i + 1) with even i, from their words (w, w'):
//            radius = sqrt(-2 ln(((w >> 8) + 1) * 2^-24)), angle = 2 pi * (w' >> 8) * 2^-24;
//            the even element is radius * cos(angle), the odd one radius * sin(angle), computed in
//            f32 and rounded to the tile's type. f64 likewise from (v, v') with >> 11 and 2^-53.
#pragma once

#include "sim/engine/tile.h"
#include "sim/isa/opcode.h"

namespace npu::sim {

// dst is packed.
void random_tile(EngineContext& context, RandomFn fn, const Tile& dst, uint64_t seed,
                 uint64_t counter);

}  // namespace npu::sim
