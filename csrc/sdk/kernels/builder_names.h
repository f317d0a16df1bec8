// The builder's names that programs use all the time.
#pragma once

#include "csrc/sdk/builder/builder.h"

namespace npu::kernels {

using sdk::BinaryFn;
using sdk::Builder;
using sdk::Dim;
using sdk::DType;
using sdk::Operand;
using sdk::Pointer;
using sdk::ReduceFn;
using sdk::Region;
using sdk::TernaryFn;
using sdk::Tile;
using sdk::UnaryFn;
using sdk::Value;

}  // namespace npu::kernels
