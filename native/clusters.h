// The clusters that are left, and what is done to points before they become clusters.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "dendrogram.h"

namespace ovsr {

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
  std::vector<double> spreads;  // mean squared distance of a cluster's points from its center
  std::vector<double> formed;   // height at which each was made; squared, as distances, where the distance is Ward's
  std::vector<int64_t> ids;
  std::vector<int32_t> nearest;
  std::vector<double> distances;  // to the nearest
  std::vector<State> states;

  int64_t count() const { return static_cast<int64_t>(ids.size()); }
  const double* center(int64_t cluster) const { return &centers[cluster * num_dims]; }

  // The squared distance of their centers. The same bits for (a, b) and (b, a).
  double square_between(int64_t a, int64_t b) const {
    const double *first = center(a), *second = center(b);
    double sum = 0.0;
    for (int64_t dim = 0; dim < num_dims; ++dim) {
      const double difference = first[dim] - second[dim];
      sum += difference * difference;
    }
    return sum;
  }

  void move(int64_t from, int64_t to) {
    if (from == to) return;
    std::memcpy(&centers[to * num_dims], &centers[from * num_dims], num_dims * sizeof(double));
    sizes[to] = sizes[from];
    spreads[to] = spreads[from];
    formed[to] = formed[from];
    ids[to] = ids[from];
    nearest[to] = nearest[from];
    distances[to] = distances[from];
    states[to] = states[from];
  }

  void resize(int64_t count) {
    centers.resize(count * num_dims);
    sizes.resize(count);
    spreads.resize(count);
    formed.resize(count);
    ids.resize(count);
    nearest.resize(count);
    distances.resize(count);
    states.resize(count);
  }
};

// Points centered and scaled by a power of two so that the largest norm is below 1, columns by falling variance,
// constant columns left out. Returns the scale.
double standardize(const double* points, int64_t num_points, int64_t num_dims, std::vector<double>& standardized,
                   int64_t& num_kept);

// Every group of equal points becomes one cluster, at height 0: else a thousand equal points are a thousand ties.
Clusters merge_equal(const std::vector<double>& points, int64_t num_points, int64_t num_dims, Dendrogram& tree);

// Makes a round's merges; the first of each pair becomes the union. Clusters keep their order.
// place: where each cluster, or the union with it, is afterwards.
void merge_pairs(Clusters& clusters, const std::vector<int32_t>& pairs, Dendrogram& tree, std::vector<int32_t>& place);

// Puts neighbours side by side.
void reorder(Clusters& clusters);

}  // namespace ovsr
