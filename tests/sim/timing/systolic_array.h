// A weight-stationary array simulated register by register, to hold the closed forms against.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace npu::sim {

struct Product {
  int m, k, n;
  std::vector<int64_t> a, b;  // [m, k], [k, n]
};

struct ProductResult {
  uint64_t last_output = 0;  // cycle in which the last result leaves; loading starts in cycle 0
  std::vector<int64_t> c;    // [m, n]
};

// Runs products one after the other on rows x cols cells. Activations enter at the left, row r one
// cycle after row r - 1, and move right; sums move down and leave at the bottom; weights enter at
// the top, one row a cycle, and move down to the row that they are meant for.
//
// Where `load_rows` rows load in a cycle, the rows form as many groups, each with an entry for
// weights of its own that begins when the group above is complete.
//
// Without preload a cell has one weight register: a tile's weights load when the last result of the
// tile before has left. With preload it has a second one, which loads (column c a cycle after
// column c - 1) from the cycle on in which the stream before starts; a stream's first activation
// makes each cell on its way take the new weight over. The next stream starts `swap` cycles after
// it at the earliest.
class SystolicArray {
 public:
  SystolicArray(int rows, int cols, bool preload, int load_rows = 1, int swap = 0)
      : rows_(rows),
        cols_(cols),
        preload_(preload),
        group_((rows + load_rows - 1) / load_rows),
        swap_(swap) {}

  std::vector<ProductResult> run(const std::vector<Product>& products) {
    std::vector<ProductResult> results;
    std::vector<Tile> tiles;
    for (size_t i = 0; i < products.size(); ++i) {
      const Product& p = products[i];
      results.push_back({0, std::vector<int64_t>(size_t(p.m) * size_t(p.n), 0)});
      for (int k0 = 0; k0 < p.k; k0 += rows_) {
        for (int n0 = 0; n0 < p.n; n0 += cols_) tiles.push_back({i, k0, n0, p.m});
      }
    }
    std::vector<Cell> cells(size_t(rows_) * size_t(cols_));
    std::vector<Command> loads, streams;  // by cycle, as given to column 0 and row 0
    size_t next_load = 0, next_stream = 0, outputs = 0;
    int loaded_rows = 0, streamed_rows = 0, idle = swap_;  // loaded: of each group
    bool streaming = false;

    while (next_stream < tiles.size() || streaming || outputs > 0) {
      const size_t cycle = loads.size();
      // What enters the array: the whole controller.
      Command load, stream;
      if (!streaming && loaded_rows == group_ && idle >= swap_) {
        streaming = true;
        streamed_rows = loaded_rows = 0;
        ++next_load;
        outputs += size_t(tiles[next_stream].m) * size_t(cols_);
      }
      if (streaming) {
        stream = {true, next_stream, streamed_rows++};
        if (streamed_rows == tiles[next_stream].m) {
          streaming = false;
          idle = 0;
          ++next_stream;
        }
      } else {
        ++idle;
      }
      if (next_load < tiles.size() && loaded_rows < group_ && (preload_ || outputs == 0)) {
        load = {true, next_load, group_ - 1 - loaded_rows++};
      }
      loads.push_back(load);
      streams.push_back(stream);

      // One step of all cells, from the registers of the cycle before.
      std::vector<Cell> next = cells;
      for (int r = 0; r < rows_; ++r) {
        for (int c = 0; c < cols_; ++c) {
          Cell& cell = next[at(r, c)];
          const int64_t held = cell.shadow;
          if (r % group_ > 0) {
            cell.moving = cells[at(r - 1, c)].moving;
            cell.moving_weight = cells[at(r - 1, c)].moving_weight;
          } else {
            cell.moving = delayed(loads, cycle, r + (preload_ ? c : 0));
            if (cell.moving.valid) {
              const Tile& tile = tiles[cell.moving.tile];
              cell.moving_weight = weight(products[tile.product], tile, r + cell.moving.row, c);
            }
          }
          if (cell.moving.valid && cell.moving.row == r % group_) {
            (preload_ ? cell.shadow : cell.weight) = cell.moving_weight;
          }
          if (c > 0) {
            cell.row = cells[at(r, c - 1)].row;
            cell.activation = cells[at(r, c - 1)].activation;
          } else {
            cell.row = delayed(streams, cycle, r);
            if (cell.row.valid) {
              const Tile& tile = tiles[cell.row.tile];
              cell.activation = activation(products[tile.product], tile, cell.row.row, r);
            }
          }
          if (!cell.row.valid) continue;
          if (preload_ && cell.row.row == 0) cell.weight = held;
          cell.sum = (r > 0 ? cells[at(r - 1, c)].sum : 0) + cell.activation * cell.weight;
          if (r < rows_ - 1) continue;
          const Tile& tile = tiles[cell.row.tile];
          const Product& product = products[tile.product];
          ProductResult& result = results[tile.product];
          --outputs;
          result.last_output = cycle;
          if (tile.n0 + c < product.n) {
            result.c[size_t(cell.row.row) * size_t(product.n) + size_t(tile.n0 + c)] += cell.sum;
          }
        }
      }
      cells = std::move(next);
    }
    return results;
  }

 private:
  struct Tile {
    size_t product;
    int k0, n0, m;
  };
  struct Command {
    bool valid = false;
    size_t tile = 0;
    int row = 0;  // of the weights in their group, or of the activations
  };
  struct Cell {
    Command moving;  // a weight on its way down
    int64_t moving_weight = 0;
    Command row;  // an activation on its way right
    int64_t activation = 0;
    int64_t weight = 0;
    int64_t shadow = 0;
    int64_t sum = 0;
  };

  size_t at(int r, int c) const { return size_t(r) * size_t(cols_) + size_t(c); }

  static Command delayed(const std::vector<Command>& commands, size_t cycle, int by) {
    return cycle >= size_t(by) ? commands[cycle - size_t(by)] : Command{};
  }
  // Beyond the edges of the operands the array works on zeros.
  static int64_t weight(const Product& p, const Tile& tile, int row, int col) {
    const int k = tile.k0 + row, n = tile.n0 + col;
    return k < p.k && n < p.n ? p.b[size_t(k) * size_t(p.n) + size_t(n)] : 0;
  }
  static int64_t activation(const Product& p, const Tile& tile, int m, int row) {
    const int k = tile.k0 + row;
    return k < p.k ? p.a[size_t(m) * size_t(p.k) + size_t(k)] : 0;
  }

  int rows_;
  int cols_;
  bool preload_;
  int group_;  // rows that share an entry for weights
  int swap_;
};

}  // namespace npu::sim
