#include "neighbors.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "groups.h"

namespace ovsr {
namespace {

constexpr float kFarAway = 1e15f;
constexpr double kRoundedUp = 1e-6;
constexpr double kWorthThreads = 16e6;  // coordinates to be compared: about a millisecond's work

// Among equally near neighbours the pair with the smallest key: one order for both sides, so that ties do not chase one
// another in a ring, and scattered, so that many pairs of a lattice are mutual at once.
uint64_t tie_key(int64_t a, int64_t b) {
  uint64_t key = (static_cast<uint64_t>(std::min(a, b)) << 32) | static_cast<uint64_t>(std::max(a, b));
  key = (key ^ (key >> 30)) * 0xbf58476d1ce4e5b9ull;
  key = (key ^ (key >> 27)) * 0x94d049bb133111ebull;
  return key ^ (key >> 31);  // a bijection: no two pairs share a key
}

}  // namespace

int useful_threads(int num_threads, int64_t num_points, int64_t num_dims) {
  return double(num_points) * num_points * num_dims < kWorthThreads ? 1 : std::max(num_threads, 1);
}

NeighborFinder::NeighborFinder(Team& team, int64_t num_dims, Search search)
    : team_(team), search_(search), batches_(team.size()) {
  slack_.relative = static_cast<float>((num_dims + 8) * std::ldexp(1.0, -23));
  slack_.absolute = 1.5f * std::ldexp(1.0f, -23);
}

template <class Distance>
void NeighborFinder::find(Clusters& clusters, const Distance& distance) {
  pack(clusters, distance);
  rows_.clear();
  for (int64_t i = 0; i < clusters.count(); ++i) {
    if (clusters.states[i] != State::kKnown) rows_.push_back(static_cast<int32_t>(i));
  }
  const int64_t num_boxes = (packed_.num_leaves + kBoxes - 1) / kBoxes * kBoxes;
  for (Batch& batch : batches_) {  // here, since nothing may throw where threads run
    batch.num_measured = 0.0;
    batch.gaps.resize(kQueries * num_boxes);
    for (Query& query : batch.queries) query.candidates.reserve(clusters.count());
  }
  const int64_t num_rows = static_cast<int64_t>(rows_.size());
  const bool alone = double(num_rows) * clusters.count() * clusters.num_dims < kWorthThreads;
  team_.for_chunks(num_rows, alone ? num_rows : kQueries, [&](int64_t begin, int64_t end, int member) {
    Batch& batch = batches_[member];
    for (; begin < end; begin += kQueries) {
      batch.num_queries = static_cast<int>(std::min<int64_t>(kQueries, end - begin));
      for (int q = 0; q < batch.num_queries; ++q) start(clusters, distance, batch.queries[q], rows_[begin + q]);
      search_(packed_, slack_, batch);
      for (int q = 0; q < batch.num_queries; ++q) finish(clusters, distance, batch.queries[q], batch.num_measured);
    }
  });
}

double NeighborFinder::num_measured() const {
  double sum = 0.0;
  for (const Batch& batch : batches_) sum += batch.num_measured;
  return sum;
}

template <class Distance>
void NeighborFinder::pack(const Clusters& clusters, const Distance& distance) {
  const int64_t count = clusters.count(), num_dims = clusters.num_dims;
  const int64_t num_leaves = (count + kLeaf - 1) / kLeaf, num_boxes = (num_leaves + kBoxes - 1) / kBoxes * kBoxes;
  packed_.num_clusters = count;
  packed_.num_dims = num_dims;
  packed_.num_leaves = num_leaves;
  packed_.coordinates.resize(num_leaves * num_dims * kLeaf);
  packed_.half_inverses.resize(num_leaves * kLeaf);
  packed_.spreads.resize(Distance::kSpreads != Spreads::kNone ? num_leaves * kLeaf : 0);
  packed_.lowest.resize(num_boxes * num_dims);
  packed_.highest.resize(num_boxes * num_dims);
  packed_.largest_half_inverse.resize(num_boxes);
  const bool alone = double(count) * num_dims < kWorthThreads / 16;
  team_.for_chunks(num_boxes, alone ? num_boxes : kBoxes, [&](int64_t begin, int64_t end, int) {
    for (int64_t leaf = begin; leaf < end; ++leaf) pack_leaf(clusters, distance, leaf);
  });
}

// leaf: may be past the last, where there is a box but nothing in it.
template <class Distance>
void NeighborFinder::pack_leaf(const Clusters& clusters, const Distance& distance, int64_t leaf) {
  const int64_t num_dims = clusters.num_dims, first = leaf * kLeaf;
  const int64_t num_lanes = std::clamp<int64_t>(clusters.count() - first, 0, kLeaf);
  const bool exists = leaf < packed_.num_leaves;
  float largest_half = 0.0f;
  for (int64_t lane = 0; exists && lane < kLeaf; ++lane) {
    const float half = lane < num_lanes ? static_cast<float>(distance.half_inverse(first + lane)) : 0.0f;
    packed_.half_inverses[first + lane] = half;
    if (Distance::kSpreads != Spreads::kNone) {
      const double spread = lane < num_lanes ? distance.spread(first + lane) : 0.0;
      packed_.spreads[first + lane] = static_cast<float>(spread * (1.0 + kRoundedUp));
    }
    largest_half = std::max(largest_half, half);
  }
  packed_.largest_half_inverse[leaf] = largest_half;
  const int64_t box = leaf / kBoxes * num_dims * kBoxes + leaf % kBoxes;
  for (int64_t dim = 0; dim < num_dims; ++dim) {
    float low = kFarAway, high = exists ? -kFarAway : kFarAway;
    float* row = exists ? &packed_.coordinates[(leaf * num_dims + dim) * kLeaf] : nullptr;
    for (int64_t lane = 0; lane < num_lanes; ++lane) {
      const float value = static_cast<float>(clusters.centers[(first + lane) * num_dims + dim]);
      row[lane] = value;
      low = std::min(low, value);
      high = std::max(high, value);
    }
    if (exists) std::fill(row + num_lanes, row + kLeaf, kFarAway);
    packed_.lowest[box + dim * kBoxes] = low;
    packed_.highest[box + dim * kBoxes] = high;
  }
}

template <class Distance>
void NeighborFinder::start(const Clusters& clusters, const Distance& distance, Query& query, int64_t self) const {
  const int64_t beside = self + 1 < clusters.count() ? self + 1 : self - 1, likely = clusters.nearest[self];
  double bound = distance.bound(self, beside);
  if (likely != self && likely != beside) bound = std::min(bound, distance.bound(self, likely));
  query.self = self;
  query.limit = slack_.widen(static_cast<float>(bound), packed_.half_inverses[self]);
  query.candidates.clear();
}

// Of the candidates, the nearest in exact arithmetic.
template <class Distance>
void NeighborFinder::finish(Clusters& clusters, const Distance& distance, Query& query,
                            double& num_measured) const {
  const int64_t self = query.self;
  int64_t nearest = -1;
  double smallest = std::numeric_limits<double>::infinity();
  if (Distance::kSpreads == Spreads::kBound) {  // measuring takes time: begin with the likely ones
    std::sort(query.candidates.begin(), query.candidates.end(),
              [](const Candidate& a, const Candidate& b) { return a.distance < b.distance; });
  }
  for (const Candidate& candidate : query.candidates) {
    if (candidate.distance > query.limit) continue;
    const double measured = distance.measure(self, candidate.cluster);
    num_measured += distance.num_pairs(self, candidate.cluster);
    if (measured < smallest || (measured == smallest && tie_key(self, candidate.cluster) < tie_key(self, nearest))) {
      smallest = measured;
      nearest = candidate.cluster;
      const float widened = slack_.widen(static_cast<float>(Distance::square(measured)), packed_.half_inverses[self]);
      if (Distance::kSpreads == Spreads::kBound) query.limit = std::min(query.limit, widened);
    }
  }
  clusters.nearest[self] = static_cast<int32_t>(nearest);
  clusters.distances[self] = smallest;
  clusters.states[self] = State::kKnown;
}

template void NeighborFinder::find(Clusters&, const WardDistance&);
template void NeighborFinder::find(Clusters&, const MeanDistance&);
template void NeighborFinder::find(Clusters&, const MeanSquareDistance&);

void find_pairs(const Clusters& clusters, std::vector<int32_t>& pairs) {
  pairs.clear();
  const std::vector<int32_t>& nearest = clusters.nearest;
  for (int64_t i = 0; i < clusters.count(); ++i) {
    if (i < nearest[i] && nearest[nearest[i]] == i) pairs.push_back(static_cast<int32_t>(i));
  }
  if (!pairs.empty()) return;
  const auto closest = std::min_element(clusters.distances.begin(), clusters.distances.end());
  pairs.push_back(static_cast<int32_t>(closest - clusters.distances.begin()));
}

}  // namespace ovsr
