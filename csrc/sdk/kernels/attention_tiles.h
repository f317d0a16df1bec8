// The sizes of an attention program's tiles: chosen by what the machine would take for the call.
#pragma once

#include <vector>

#include "csrc/sdk/kernels/attention_program.h"
#include "csrc/sdk/kernels/tile_walk.h"

namespace npu::kernels {

// Cycles of a core's transfer while so many programs, or all cores, load.
double transfer_cycles(const sim::Machine& machine, int64_t bytes, int64_t programs = kUnlimited);

// Cycles from the arrival of so many keys of each block to the sums of its rows; the products of
// several blocks overlap.
double step_cycles(const sim::Machine& machine, const AttentionForm& form, int64_t rows,
                   int64_t keys);

// Cycles of a range of so many keys that one block or two of so many rows see, where ranges follow
// each other: engines overlap, but for what one block alone has to wait for.
double range_cycles(const sim::Machine& machine, const AttentionForm& form, int64_t rows,
                    int64_t keys, int blocks);

// Cycles that a turn of few keys takes a decode program at least, of however few.
double least_turn(const sim::Machine& machine, const AttentionForm& form);

// Bytes of scratchpad that AttentionProgram declares.
int64_t scratchpad_bytes(const AttentionForm& form);
bool fits(const sim::Machine& machine, const AttentionForm& form);
// Halves a size of the form, down to `least`, until it fits.
void halve(const sim::Machine& machine, const AttentionForm& form, int64_t& size, int64_t least);

// What there is to do, as far as the host knows. Packed sequences differ in length: as many of the
// longest as have all tokens stand for them.
struct AttentionWork {
  int64_t sequences = 1;
  int64_t kv_heads = 1;
  int64_t group = 1;  // query heads of a KV head
  int64_t query_len = 1;
  int64_t key_len = 1;
  int64_t window = 0;
};

// How programs divide the query rows of a KV head, which are `group` heads of `query_len` tokens.
struct RowDivision {
  int64_t heads = 1;   // of a block
  int64_t tokens = 1;  // of a block
  int64_t tiles = 1;   // how many programs share the tokens
};
RowDivision divide_rows(const AttentionForm& form, int64_t group, int64_t query_len);

// Of a block that has so many: programs serve up to twice as many as they are made for.
int64_t rows_for(int64_t needed);

// Makes the form that of one block, where the array takes all rows at once; else leaves it.
bool take_few_rows(const sim::Machine& machine, const AttentionWork& work, AttentionForm& form);

// Two blocks of the array's rows: what fit() shrinks where nothing else fits.
AttentionForm usual_blocks(const sim::Machine& machine, const AttentionForm& form);

struct RankedBlocks {
  AttentionForm form;       // with rows and keys, and whether its rows are one block or two
  double cycles = 0;        // of the launch, by a cost model that is good for comparing
  double instructions = 0;  // of the launch, about
};

// The sizes that a form may have, the best first as far as the cost model tells; none where not
// even the smallest fit the scratchpad. Needs the form's types and head dimensions.
std::vector<RankedBlocks> rank_blocks(const sim::Machine& machine, const AttentionWork& work,
                                      const AttentionForm& form);

// Shrinks the capacities until they fit. False if even one row and one key do not.
bool fit(const sim::Machine& machine, AttentionForm& form);

}  // namespace npu::kernels
