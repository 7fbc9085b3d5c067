// Exact Ward clustering by rounds of reciprocal nearest neighbours, in memory linear in the number of points.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <numeric>
#include <vector>

#include "clustering.h"
#include "dendrogram.h"
#include "search.h"
#include "team.h"

namespace ovsr {
namespace {

constexpr float kFarAway = 1e15f;
constexpr int64_t kWorthThreads = 16'000'000;  // coordinates to be compared: about a millisecond's work

enum class State : uint8_t {
  kKnown,   // nearest is right
  kStale,   // nearest has to be looked for; what stands there is near
  kMerged,  // stale because it has just been made
  kGone,    // has just become part of another
};

// The clusters that are left, in an order that puts neighbours side by side.
struct Clusters {
  int64_t num_dims = 0;
  std::vector<double> centers;  // (count, num_dims)
  std::vector<double> sizes;
  std::vector<double> formed;  // squared height at which each was made
  std::vector<int64_t> ids;
  std::vector<int32_t> nearest;
  std::vector<double> distances;  // to the nearest
  std::vector<State> states;

  int64_t count() const { return static_cast<int64_t>(ids.size()); }
  const double* center(int64_t cluster) const { return &centers[cluster * num_dims]; }

  // The same bits for (a, b) and (b, a).
  double distance(int64_t a, int64_t b) const {
    const double *first = center(a), *second = center(b);
    double sum = 0.0;
    for (int64_t dim = 0; dim < num_dims; ++dim) {
      const double difference = first[dim] - second[dim];
      sum += difference * difference;
    }
    return sum * (2.0 * (sizes[a] * sizes[b]) / (sizes[a] + sizes[b]));
  }

  void move(int64_t from, int64_t to) {
    if (from == to) return;
    std::memcpy(&centers[to * num_dims], &centers[from * num_dims], num_dims * sizeof(double));
    sizes[to] = sizes[from];
    formed[to] = formed[from];
    ids[to] = ids[from];
    nearest[to] = nearest[from];
    distances[to] = distances[from];
    states[to] = states[from];
  }

  void resize(int64_t count) {
    centers.resize(count * num_dims);
    sizes.resize(count);
    formed.resize(count);
    ids.resize(count);
    nearest.resize(count);
    distances.resize(count);
    states.resize(count);
  }
};

// Among equally near neighbours the pair with the smallest key: one order for both sides, so that ties do not chase one
// another in a ring, and scattered, so that many pairs of a lattice are mutual at once.
uint64_t tie_key(int64_t a, int64_t b) {
  uint64_t key = (static_cast<uint64_t>(std::min(a, b)) << 32) | static_cast<uint64_t>(std::max(a, b));
  key = (key ^ (key >> 30)) * 0xbf58476d1ce4e5b9ull;
  key = (key ^ (key >> 27)) * 0x94d049bb133111ebull;
  return key ^ (key >> 31);  // a bijection: no two pairs share a key
}

// Points centered and scaled by a power of two so that the largest norm is below 1, columns by falling variance,
// constant columns left out. Returns the scale.
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

// Every group of equal points becomes one cluster, at height 0: else a thousand equal points are a thousand ties.
void merge_equal(const std::vector<double>& points, int64_t num_points, int64_t num_dims, Clusters& clusters,
                 Dendrogram& tree) {
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
    while (slots[slot] >= 0 && std::memcmp(clusters.centers.data() + slots[slot] * num_dims, row, row_bytes) != 0) {
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
  std::fill(clusters.formed.begin(), clusters.formed.end(), 0.0);
  std::fill(clusters.states.begin(), clusters.states.end(), State::kStale);
  std::iota(clusters.nearest.begin(), clusters.nearest.end(), 0);
}

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
    ordered.formed[i] = clusters.formed[from];
    ordered.ids[i] = clusters.ids[from];
    ordered.nearest[i] = place[clusters.nearest[from]];
    ordered.distances[i] = clusters.distances[from];
    ordered.states[i] = clusters.states[from];
  }
  std::swap(clusters, ordered);
}

void pack(const Clusters& clusters, Packed& packed, Team& team) {
  const int64_t count = clusters.count(), num_dims = clusters.num_dims;
  const int64_t num_leaves = (count + kLeaf - 1) / kLeaf, num_groups = (num_leaves + kBoxes - 1) / kBoxes;
  packed.num_clusters = count;
  packed.num_dims = num_dims;
  packed.num_leaves = num_leaves;
  packed.coordinates.resize(num_leaves * num_dims * kLeaf);
  packed.half_inverses.resize(num_leaves * kLeaf);
  packed.lowest.resize(num_groups * num_dims * kBoxes);
  packed.highest.resize(num_groups * num_dims * kBoxes);
  packed.largest_half_inverse.resize(num_groups * kBoxes);
  const int64_t chunk = count * num_dims < kWorthThreads / 16 ? num_groups * kBoxes : kBoxes;
  team.for_chunks(num_groups * kBoxes, chunk, [&](int64_t begin, int64_t end, int) {
    for (int64_t leaf = begin; leaf < end; ++leaf) {
      const int64_t first = leaf * kLeaf, num_lanes = std::clamp<int64_t>(count - first, 0, kLeaf);
      const int64_t box = leaf / kBoxes * num_dims * kBoxes + leaf % kBoxes;
      float largest_half = 0.0f;
      for (int64_t lane = 0; lane < num_lanes; ++lane) {
        const float half = static_cast<float>(0.5 / clusters.sizes[first + lane]);
        packed.half_inverses[first + lane] = half;
        largest_half = std::max(largest_half, half);
      }
      packed.largest_half_inverse[leaf / kBoxes * kBoxes + leaf % kBoxes] = largest_half;
      if (leaf < num_leaves) {
        for (int64_t lane = num_lanes; lane < kLeaf; ++lane) packed.half_inverses[first + lane] = 0.5f;
      }
      for (int64_t dim = 0; dim < num_dims; ++dim) {
        float low = kFarAway, high = num_lanes ? -kFarAway : kFarAway;
        float* row = leaf < num_leaves ? &packed.coordinates[(leaf * num_dims + dim) * kLeaf] : nullptr;
        for (int64_t lane = 0; lane < num_lanes; ++lane) {
          const float value = static_cast<float>(clusters.centers[(first + lane) * num_dims + dim]);
          row[lane] = value;
          low = std::min(low, value);
          high = std::max(high, value);
        }
        if (row) std::fill(row + num_lanes, row + kLeaf, kFarAway);
        packed.lowest[box + dim * kBoxes] = low;
        packed.highest[box + dim * kBoxes] = high;
      }
    }
  });
}

class Ward {
 public:
  Ward(const double* points, int64_t num_points, int64_t num_dims, int num_threads, int vector_level)
      : tree_(num_points),
        team_(num_points * num_points * num_dims < kWorthThreads ? 1 : num_threads),
        batches_(team_.size()), search_(choose_search(vector_level)) {
    std::vector<double> standardized;
    int64_t num_kept = 0;
    scale_ = standardize(points, num_points, num_dims, standardized, num_kept);
    merge_equal(standardized, num_points, num_kept, clusters_, tree_);
    slack_.relative = static_cast<float>((num_kept + 8) * std::ldexp(1.0, -23));
    slack_.absolute = 1.5f * std::ldexp(1.0f, -23);
  }

  const Dendrogram& run() {
    int64_t count_when_ordered = std::numeric_limits<int64_t>::max();
    while (clusters_.count() > 1) {
      if (clusters_.count() < count_when_ordered / 2) {
        reorder(clusters_);
        count_when_ordered = clusters_.count();
      }
      pack(clusters_, packed_, team_);
      find_nearest();
      find_pairs();
      merge_pairs();
    }
    for (double& height : tree_.heights) height = std::sqrt(height) * scale_;
    return tree_;
  }

 private:
  void find_nearest() {
    rows_.clear();
    for (int64_t i = 0; i < clusters_.count(); ++i) {
      if (clusters_.states[i] != State::kKnown) rows_.push_back(static_cast<int32_t>(i));
    }
    const int64_t num_boxes = (packed_.num_leaves + kBoxes - 1) / kBoxes * kBoxes;
    for (Batch& batch : batches_) {  // here, since nothing may throw where threads run
      batch.gaps.resize(kQueries * num_boxes);
      for (Query& query : batch.queries) query.candidates.reserve(clusters_.count());
    }
    const int64_t num_rows = static_cast<int64_t>(rows_.size());
    const bool alone = num_rows * clusters_.count() * clusters_.num_dims < kWorthThreads;
    team_.for_chunks(num_rows, alone ? num_rows : kQueries, [&](int64_t begin, int64_t end, int member) {
      for (; begin < end; begin += kQueries) answer(begin, std::min<int64_t>(begin + kQueries, end), batches_[member]);
    });
  }

  void answer(int64_t begin, int64_t end, Batch& batch) {
    batch.num_queries = static_cast<int>(end - begin);
    for (int q = 0; q < batch.num_queries; ++q) start(batch.queries[q], rows_[begin + q]);
    search_(packed_, slack_, batch);
    for (int q = 0; q < batch.num_queries; ++q) finish(batch.queries[q]);
  }

  void start(Query& query, int64_t self) const {
    const int64_t beside = self + 1 < clusters_.count() ? self + 1 : self - 1, likely = clusters_.nearest[self];
    double bound = clusters_.distance(self, beside);
    if (likely != self && likely != beside) bound = std::min(bound, clusters_.distance(self, likely));
    query.self = self;
    query.limit = slack_.widen(static_cast<float>(bound), packed_.half_inverses[self]);
    query.candidates.clear();
  }

  // Of the candidates, the nearest in exact arithmetic.
  void finish(const Query& query) {
    const int64_t self = query.self;
    int64_t nearest = -1;
    double smallest = std::numeric_limits<double>::infinity();
    for (const Candidate& candidate : query.candidates) {
      if (candidate.distance > query.limit) continue;
      const double distance = clusters_.distance(self, candidate.cluster);
      if (distance < smallest ||
          (distance == smallest && tie_key(self, candidate.cluster) < tie_key(self, nearest))) {
        smallest = distance;
        nearest = candidate.cluster;
      }
    }
    clusters_.nearest[self] = static_cast<int32_t>(nearest);
    clusters_.distances[self] = smallest;
    clusters_.states[self] = State::kKnown;
  }

  // Mutual nearest neighbours; where there are none, the closest pair, which always is a merge of the tree.
  void find_pairs() {
    pairs_.clear();
    const std::vector<int32_t>& nearest = clusters_.nearest;
    for (int64_t i = 0; i < clusters_.count(); ++i) {
      if (i < nearest[i] && nearest[nearest[i]] == i) pairs_.push_back(static_cast<int32_t>(i));
    }
    if (!pairs_.empty()) return;
    const auto& distances = clusters_.distances;
    const auto closest = std::min_element(distances.begin(), distances.end()) - distances.begin();
    pairs_.push_back(static_cast<int32_t>(closest));
  }

  void merge_pairs() {
    const int64_t count = clusters_.count(), num_dims = clusters_.num_dims;
    for (const int32_t first : pairs_) {
      const int32_t second = clusters_.nearest[first];
      // Rounding must not put a merge below those that made its parts.
      const double height =
          std::max({clusters_.distances[first], clusters_.formed[first], clusters_.formed[second]});
      const double size = clusters_.sizes[first] + clusters_.sizes[second];
      const double share = clusters_.sizes[second] / size;
      double *center = &clusters_.centers[first * num_dims], *other = &clusters_.centers[second * num_dims];
      for (int64_t dim = 0; dim < num_dims; ++dim) center[dim] += share * (other[dim] - center[dim]);
      clusters_.ids[first] = tree_.add(clusters_.ids[first], clusters_.ids[second], height);
      clusters_.formed[first] = height;
      clusters_.sizes[first] = size;
      clusters_.states[first] = State::kMerged;
      clusters_.states[second] = State::kGone;
    }
    // Distances never fall when others merge, so whoever's nearest did not merge keeps it.
    for (int64_t i = 0; i < count; ++i) {
      if (clusters_.states[i] == State::kKnown && clusters_.states[clusters_.nearest[i]] >= State::kMerged) {
        clusters_.states[i] = State::kStale;
      }
    }
    place_.resize(count);
    int32_t left = 0;
    for (int64_t i = 0; i < count; ++i) {
      if (clusters_.states[i] != State::kGone) place_[i] = left++;
    }
    for (const int32_t first : pairs_) place_[clusters_.nearest[first]] = place_[first];
    for (const int32_t first : pairs_) clusters_.nearest[first] = first;  // not known yet
    for (int64_t i = 0; i < count; ++i) {
      if (clusters_.states[i] == State::kGone) continue;
      clusters_.nearest[i] = place_[clusters_.nearest[i]];
      clusters_.move(i, place_[i]);
    }
    clusters_.resize(left);
  }

  Dendrogram tree_;
  Team team_;
  std::vector<Batch> batches_;
  Search search_;
  Slack slack_{};
  double scale_ = 1.0;
  Clusters clusters_;
  Packed packed_;
  std::vector<int32_t> rows_, pairs_, place_;  // place_: where a cluster, or the union with it, is after a round
};

}  // namespace
}  // namespace ovsr

extern "C" {

int32_t ovsr_clustering_abi_version() { return 1; }

int32_t ovsr_ward(const double* points, int64_t num_points, int64_t num_dims, int32_t num_threads,
                  int32_t vector_level, int64_t* merges, double* heights) {
  if (num_points < 1 || num_points > std::numeric_limits<int32_t>::max() || num_dims < 0) return OVSR_BAD_ARGUMENT;
  try {
    ovsr::Ward ward(points, num_points, num_dims, std::max(num_threads, 1), vector_level);
    ward.run().write_sorted(merges, heights);
  } catch (const std::bad_alloc&) {
    return OVSR_OUT_OF_MEMORY;
  }
  return OVSR_OK;
}

}  // extern "C"
