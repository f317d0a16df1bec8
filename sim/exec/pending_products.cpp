#include "sim/exec/pending_products.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace npu::sim {

bool PendingProducts::holds(BufferId buffer) const {
  return std::any_of(products_.begin(), products_.begin() + count_,
                     [&](const Product& product) { return product.buffer == buffer; });
}

void PendingProducts::add(BufferId buffer, const MatrixForm& form, const Tile& dst, const Tile& a,
                          const Tile& b) {
  for (int i = 0; i < count_; ++i) {
    Product& product = products_[i];
    if (product.buffer != buffer) continue;
    if (form.accumulate && extend(product, form, a, b)) return;
    settle(buffer);
    break;
  }
  if (count_ == static_cast<int>(products_.size())) flush();
  products_[count_++] = {buffer, form, dst, a, b};
}

bool PendingProducts::extend(Product& product, const MatrixForm& form, const Tile& a,
                             const Tile& b) {
  if (form.transpose_a != product.form.transpose_a ||
      form.transpose_b != product.form.transpose_b || product.a.dtype != a.dtype) {
    return false;
  }
  // 16-bit types are multiplied in pairs along K, which a part of odd depth would shift.
  const int64_t depth = form.transpose_a ? product.a.rows : product.a.cols;
  if (size_of(a.dtype) == 2 && depth % 2 != 0) return false;
  const auto continues = [](const Tile& first, const Tile& next, bool by_rows) {
    if (by_rows) {
      return first.cols == next.cols && first.ld == next.ld && next.data == first.row(first.rows);
    }
    // A single row's distance to the next does not count.
    return first.rows == next.rows && (first.ld == next.ld || first.rows == 1) &&
           next.data == first.data + first.cols * size_of(first.dtype);
  };
  const auto join = [](Tile& first, const Tile& next, bool by_rows) {
    (by_rows ? first.rows : first.cols) += by_rows ? next.rows : next.cols;
    if (first.rows == 1) first.ld = first.cols;
  };
  const bool a_rows = form.transpose_a;
  const bool b_rows = !form.transpose_b;
  if (!continues(product.a, a, a_rows) || !continues(product.b, b, b_rows)) return false;
  join(product.a, a, a_rows);
  join(product.b, b, b_rows);
  return true;
}

bool PendingProducts::store(BufferId buffer, const Tile& memory) {
  for (int i = 0; i < count_; ++i) {
    Product& product = products_[i];
    if (product.buffer != buffer) continue;
    const Tile& dst = product.dst;
    if (product.form.accumulate || memory.rows != dst.rows || memory.cols != dst.cols) return false;
    product.dst = memory;
    settle(buffer);
    return true;
  }
  return false;
}

void PendingProducts::settle(BufferId buffer) {
  for (int i = 0; i < count_; ++i) {
    if (products_[i].buffer != buffer) continue;
    const Product product = products_[i];
    std::move(products_.begin() + i + 1, products_.begin() + count_, products_.begin() + i);
    --count_;
    return compute(product);
  }
}

void PendingProducts::settle(const Step& step) {
  if (count_ == 0) return;
  settle(step.dst);
  settle(step.dst2);
  for (const BufferId source : step.src) settle(source);
}

void PendingProducts::flush() {
  const int count = std::exchange(count_, 0);
  for (int i = 0; i < count; ++i) compute(products_[i]);
}

void PendingProducts::compute(const Product& product) {
  const auto& [buffer, form, dst, a, b] = product;
  const int64_t depth = form.transpose_a ? a.rows : a.cols;
  if (before_large_ && dst.elements() * depth >= kLargeMacs) before_large_();
  if (auto panels = PanelProduct::make(form, dst, a, b)) {
    const bool reused = packs_->expects_reuse(b, form.transpose_b);
    if (reused || dst.rows > kFewRows) return compute_in_panels(*panels, form.transpose_b);
  }
  multiply(*engines_, form, dst, a, b);
}

// Threads that start on the same operand at the same time pack different panels of it.
void PendingProducts::compute_in_panels(PanelProduct product, bool transpose_b) {
  const int64_t depths = product.depths();
  std::vector<std::pair<int64_t, int64_t>> left;  // panels, and from where in depth
  for (int64_t panel = 0; panel < product.panels(); ++panel) {
    for (int64_t depth = 0; depth < depths; ++depth) {
      if (compute_block(product, transpose_b, panel, depth)) continue;
      left.emplace_back(panel, depth);
      break;
    }
  }
  for (auto [panel, depth] : left) {
    for (; depth < depths; ++depth) {
      if (!compute_block(product, transpose_b, panel, depth)) {
        product.multiply(*engines_, panel, depth, nullptr);
      }
    }
  }
}

bool PendingProducts::compute_block(PanelProduct& product, bool transpose_b, int64_t panel,
                                    int64_t depth) {
  const Tile block = product.block(panel, depth);
  const PackCache::Claim claim = packs_->claim(block, transpose_b);
  switch (claim.state) {
    case PackCache::State::kBusy:
      return false;
    case PackCache::State::kFull:
      product.multiply(*engines_, panel, depth, nullptr);
      return true;
    case PackCache::State::kEmpty:
      product.pack(*engines_, block, claim.data);
      packs_->packed(claim);
      break;
    case PackCache::State::kReady:
      break;
  }
  product.multiply(*engines_, panel, depth, claim.data);
  packs_->release(claim);
  return true;
}

}  // namespace npu::sim
