#include "clusters.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "search.h"

namespace ovsr {

namespace {

// Halves the range along its widest side until parts fit into a leaf; all leaves but the last are full.
void order_by_place(const Clusters& clusters, int32_t* begin, int32_t* end) {
  const int64_t count = end - begin, num_leaves = (count + kLeaf - 1) / kLeaf;
  if (num_leaves <= 1) return;
  const int64_t num_dims = std::min<int64_t>(clusters.num_dims, 16);  // later ones vary less
  double low[16], high[16];
  for (int64_t dim = 0; dim < num_dims; ++dim) low[dim] = high[dim] = clusters.center(*begin)[dim];
  for (const int32_t* place = begin + 1; place < end; ++place) {
    const double* center = clusters.center(*place);
    for (int64_t dim = 0; dim < num_dims; ++dim) {
      low[dim] = std::min(low[dim], center[dim]);
      high[dim] = std::max(high[dim], center[dim]);
    }
  }
  int64_t widest = 0;
  for (int64_t dim = 1; dim < num_dims; ++dim) {
    if (high[dim] - low[dim] > high[widest] - low[widest]) widest = dim;
  }
  int32_t* middle = begin + (num_leaves / 2) * kLeaf;
  std::nth_element(begin, middle, end, [&](int32_t a, int32_t b) {
    const double first = clusters.center(a)[widest], second = clusters.center(b)[widest];
    return first != second ? first < second : a < b;
  });
  order_by_place(clusters, begin, middle);
  order_by_place(clusters, middle, end);
}

}  // namespace

double standardize(const double* points, int64_t num_points, int64_t num_dims, std::vector<double>& standardized,
                   int64_t& num_kept) {
  double largest = 0.0;
  for (int64_t i = 0; i < num_points * num_dims; ++i) largest = std::max(largest, std::fabs(points[i]));
  int exponent = 0;
  std::frexp(largest, &exponent);
  exponent = std::clamp(exponent, -1000, 1000);
  const double factor = std::ldexp(1.0, -exponent);
  std::vector<double> mean(num_dims, 0.0), variance(num_dims, 0.0);
  std::vector<double> low(points, points + num_dims), high(low);
  for (int64_t i = 0; i < num_points; ++i) {
    for (int64_t dim = 0; dim < num_dims; ++dim) {
      const double value = points[i * num_dims + dim];
      mean[dim] += value * factor / num_points;
      low[dim] = std::min(low[dim], value);
      high[dim] = std::max(high[dim], value);
    }
  }
  std::vector<int64_t> columns;
  for (int64_t dim = 0; dim < num_dims; ++dim) {
    if (low[dim] < high[dim]) columns.push_back(dim);
  }
  for (int64_t i = 0; i < num_points; ++i) {
    for (const int64_t dim : columns) {
      const double difference = points[i * num_dims + dim] * factor - mean[dim];
      variance[dim] += difference * difference;
    }
  }
  std::stable_sort(columns.begin(), columns.end(), [&](int64_t a, int64_t b) { return variance[a] > variance[b]; });
  num_kept = static_cast<int64_t>(columns.size());
  standardized.resize(num_points * num_kept);
  double largest_square = 0.0;
  for (int64_t i = 0; i < num_points; ++i) {
    double square = 0.0;
    for (int64_t k = 0; k < num_kept; ++k) {
      const double value = points[i * num_dims + columns[k]] * factor - mean[columns[k]];
      standardized[i * num_kept + k] = value + 0.0;  // no negative zero
      square += value * value;
    }
    largest_square = std::max(largest_square, square);
  }
  int shrink = 0;
  std::frexp(std::sqrt(largest_square), &shrink);
  const double enlargement = std::ldexp(1.0, -shrink);
  for (double& value : standardized) value *= enlargement;
  return std::ldexp(1.0, exponent + shrink);
}

Clusters merge_equal(const std::vector<double>& points, int64_t num_points, int64_t num_dims, Dendrogram& tree) {
  Clusters clusters;
  clusters.num_dims = num_dims;
  uint64_t num_slots = 16;
  while (num_slots < 2 * static_cast<uint64_t>(num_points)) num_slots *= 2;
  std::vector<int32_t> slots(num_slots, -1);
  const size_t row_bytes = num_dims * sizeof(double);
  for (int64_t point = 0; point < num_points; ++point) {
    const double* row = points.data() + point * num_dims;
    uint64_t hash = 0x9e3779b97f4a7c15ull;
    for (int64_t dim = 0; dim < num_dims; ++dim) {
      uint64_t bits;
      std::memcpy(&bits, row + dim, sizeof bits);
      hash = (hash ^ bits) * 0xbf58476d1ce4e5b9ull;
      hash ^= hash >> 29;
    }
    uint64_t slot = hash & (num_slots - 1);
    while (row_bytes > 0 && slots[slot] >= 0 && std::memcmp(clusters.center(slots[slot]), row, row_bytes) != 0) {
      slot = (slot + 1) & (num_slots - 1);
    }
    if (slots[slot] < 0) {
      slots[slot] = static_cast<int32_t>(clusters.count());
      clusters.centers.insert(clusters.centers.end(), row, row + num_dims);
      clusters.sizes.push_back(1.0);
      clusters.ids.push_back(point);
    } else {
      const int32_t cluster = slots[slot];
      clusters.ids[cluster] = tree.add(clusters.ids[cluster], point, 0.0);
      clusters.sizes[cluster] += 1.0;
    }
  }
  clusters.resize(clusters.count());
  std::fill(clusters.spreads.begin(), clusters.spreads.end(), 0.0);
  std::fill(clusters.formed.begin(), clusters.formed.end(), 0.0);
  std::fill(clusters.states.begin(), clusters.states.end(), State::kStale);
  std::iota(clusters.nearest.begin(), clusters.nearest.end(), 0);
  return clusters;
}

void merge_pairs(Clusters& clusters, const std::vector<int32_t>& pairs, Dendrogram& tree,
                 std::vector<int32_t>& place) {
  const int64_t count = clusters.count(), num_dims = clusters.num_dims;
  for (const int32_t first : pairs) {
    const int32_t second = clusters.nearest[first];
    // Rounding must not put a merge below those that made its parts.
    const double height = std::max({clusters.distances[first], clusters.formed[first], clusters.formed[second]});
    const double size = clusters.sizes[first] + clusters.sizes[second];
    const double share = clusters.sizes[second] / size;
    clusters.spreads[first] = (1.0 - share) * clusters.spreads[first] + share * clusters.spreads[second] +
                              share * (1.0 - share) * clusters.square_between(first, second);
    double *center = &clusters.centers[first * num_dims], *other = &clusters.centers[second * num_dims];
    for (int64_t dim = 0; dim < num_dims; ++dim) center[dim] += share * (other[dim] - center[dim]);
    clusters.ids[first] = tree.add(clusters.ids[first], clusters.ids[second], height);
    clusters.formed[first] = height;
    clusters.sizes[first] = size;
    clusters.states[first] = State::kMerged;
    clusters.states[second] = State::kGone;
  }
  // Distances never fall when others merge, so whoever's nearest did not merge keeps it.
  for (int64_t i = 0; i < count; ++i) {
    if (clusters.states[i] == State::kKnown && clusters.states[clusters.nearest[i]] >= State::kMerged) {
      clusters.states[i] = State::kStale;
    }
  }
  place.resize(count);
  int32_t left = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (clusters.states[i] != State::kGone) place[i] = left++;
  }
  for (const int32_t first : pairs) place[clusters.nearest[first]] = place[first];
  for (const int32_t first : pairs) clusters.nearest[first] = first;  // not known yet
  for (int64_t i = 0; i < count; ++i) {
    if (clusters.states[i] == State::kGone) continue;
    clusters.nearest[i] = place[clusters.nearest[i]];
    clusters.move(i, place[i]);
  }
  clusters.resize(left);
}

void reorder(Clusters& clusters) {
  const int64_t count = clusters.count();
  std::vector<int32_t> order(count), place(count);
  std::iota(order.begin(), order.end(), 0);
  order_by_place(clusters, order.data(), order.data() + count);
  for (int64_t i = 0; i < count; ++i) place[order[i]] = static_cast<int32_t>(i);
  Clusters ordered;
  ordered.num_dims = clusters.num_dims;
  ordered.resize(count);
  for (int64_t i = 0; i < count; ++i) {
    const int32_t from = order[i];
    std::copy(clusters.center(from), clusters.center(from) + clusters.num_dims, &ordered.centers[i * clusters.num_dims]);
    ordered.sizes[i] = clusters.sizes[from];
    ordered.spreads[i] = clusters.spreads[from];
    ordered.formed[i] = clusters.formed[from];
    ordered.ids[i] = clusters.ids[from];
    ordered.nearest[i] = place[clusters.nearest[from]];
    ordered.distances[i] = clusters.distances[from];
    ordered.states[i] = clusters.states[from];
  }
  std::swap(clusters, ordered);
}

}  // namespace ovsr
