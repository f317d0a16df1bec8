// What gathering and scattering kernels share: a loop nest in which indices, read from memory,
// choose where one of the tensors is accessed.
//
// A tile of the nest's first two dimensions [dim 1, dim 0] becomes a tile of element offsets. Where
// no index varies along dim 0, an offset stands for a whole row of the tile ("rows"); elsewhere for
// one element. An index outside its dimension becomes the offset -1, which no transfer accepts: the
// launch fails at that instruction.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "csrc/sdk/builder/builder.h"
#include "csrc/sdk/kernels/arguments.h"
#include "csrc/sdk/kernels/iteration.h"

namespace npu::kernels {

// The operands of one call. `tile` lies where the nest walks; `view` is accessed at the nest's
// place (stride 0 in indexed dimensions) plus the sum of indices[k] * strides[k] elements. All have
// the nest's sizes.
struct IndexedOperands {
  Tensor tile;
  Tensor view;
  std::vector<Tensor> indices;
  std::vector<int64_t> lengths;
  std::vector<int64_t> strides;
  bool wraps = false;  // negative indices count from the end
};

// Indexing along one dimension: `indices` has the sizes of `tile`.
IndexedOperands along_dim(const Tensor& tile, const Tensor& indexed, int dim,
                          const Tensor& indices);
// A vector of indices as a tensor of tile's sizes.
Tensor spread(const Tensor& vector, const Tensor& tile, int dim);
// Whether `indexed` has the dimension and, in the others, at least the sizes of `tile`.
npuStatus check_indexed_dim(std::string_view kernel, const Tensor& indexed, const Tensor& tile,
                            int dim);
// The operands of index_get() and index_put().
npuStatus advanced(std::string_view kernel, const Tensor& tile, const Tensor& view,
                   TensorSpan indices, std::span<const int64_t> lengths,
                   std::span<const int64_t> strides, IndexedOperands* operands);

npuStatus check_indexed(std::string_view kernel, const IndexedOperands& operands);

// What of the operands distinguishes programs.
struct IndexedForm {
  int dims = 0;  // at least 2
  int indices = 0;
  uint32_t looped = 0;  // dimensions that one program walks in a loop, in order, outermost slowest
  bool rows = false;
  bool wraps = false;
  sdk::DType data = sdk::DType::f32;
  sdk::DType index = sdk::DType::i64;

  bool is_looped(int dim) const { return (looped >> dim & 1) != 0; }
  int64_t key() const;
};

// The usual form, for tools: rows of bf16 matrices, or their elements, at i64 indices.
IndexedForm typical_indexed_form(bool rows, int indices = 1);

// Tensor numbers in the nest.
inline constexpr int kTileOperand = 0;
inline constexpr int kViewOperand = 1;
inline constexpr int kFirstIndex = 2;

// The dimensions of the operands, those of the tile first.
Iteration indexed_nest(const IndexedOperands& operands);
// At least two dimensions: adds some of size 1 in front of dimension `at`.
void pad_nest(Iteration& nest, int at, int count);
IndexedForm form_of(const IndexedOperands& operands, const Iteration& nest);

// Elements of tiles: of the data and of the indices.
struct IndexedCapacity {
  int64_t data = 0;
  int64_t index = 0;
};
// `data_tiles`: buffers of data elements that the program holds.
IndexedCapacity indexed_capacity(const IndexedForm& form, const sim::Machine& machine,
                                 int data_tiles);

struct IndexedTiling {
  std::array<int64_t, 2> tile = {1, 1};
  int64_t grid = 1;
  int64_t steps = 1;  // of the loop
};
// `single`: tiles are one element thick in the looped dimensions.
IndexedTiling choose_indexed_tiling(const IndexedForm& form, const Iteration& nest,
                                    const IndexedCapacity& capacity, const sim::Machine& machine);

// The program's side. Declares the arguments after those of the caller.
class IndexedWalk {
 public:
  IndexedWalk(sdk::Builder& builder, const IndexedForm& form, const IndexedCapacity& capacity);

  sdk::Pointer tile_pointer() const { return tile_; }
  sdk::Pointer view_pointer() const { return view_; }

  // Runs `body` at each place of the program: once, or for every step of its loop.
  void for_each(const std::function<void()>& body);

  // Inside of the body.
  const sdk::Value& rows() const { return extent_[1]; }
  const sdk::Value& cols() const { return extent_[0]; }
  const sdk::Value& tile_offset() const { return offset_[kTileOperand]; }
  sdk::Region tile_region() const;
  // What one index moves: a row or an element.
  std::vector<sdk::Dim> access() const;
  // Loads the indices and computes the tile of offsets from the view's pointer.
  sdk::Tile offsets();

 private:
  sdk::Value stride(int tensor, int dim) const;
  void locate(sdk::Value counter, bool looped);

  sdk::Builder& builder_;
  IndexedForm form_;
  IndexedCapacity capacity_;
  sdk::Pointer tile_, view_;
  std::vector<sdk::Pointer> index_;
  std::vector<sdk::Value> lengths_, index_strides_, sizes_, tiles_, counts_;
  std::vector<std::vector<sdk::Value>> strides_;
  sdk::Value base_ = 0, steps_ = 1;
  std::array<sdk::Value, 2> extent_ = {1, 1};
  std::vector<sdk::Value> offset_;
};

// The arguments that IndexedWalk declares.
npuStatus pass_indexed(Arguments& args, const IndexedOperands& operands, const IndexedForm& form,
                       const Iteration& nest, const IndexedTiling& tiling);

sim::Program build_gather(std::string_view kernel, const sim::Machine& machine,
                          const IndexedForm& form);
// out = view at the indices.
npuStatus run_gather(std::string_view kernel, const IndexedOperands& operands, npuStream stream);

// An integer type of the same width: what moves elements needs no other.
sdk::DType bits_of(sdk::DType type);

}  // namespace npu::kernels
