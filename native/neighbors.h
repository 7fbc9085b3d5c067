// Nearest neighbours of clusters by Ward's distance, or by the mean distance of their points, squared or not.
#pragma once

#include <cstdint>
#include <vector>

#include "clusters.h"
#include "search.h"
#include "team.h"

namespace ovsr {

// num_threads, or 1 where all distances together are not worth waking any.
int useful_threads(int num_threads, int64_t num_points, int64_t num_dims);

// What a NeighborFinder has to know of a distance; see `Packed`.
struct WardDistance {
  static constexpr Spreads kSpreads = Spreads::kNone;
  const Clusters& clusters;

  double half_inverse(int64_t cluster) const { return 0.5 / clusters.sizes[cluster]; }
  double spread(int64_t) const { return 0.0; }
  double measure(int64_t a, int64_t b) const {
    const double *sizes = clusters.sizes.data();
    return clusters.square_between(a, b) * (2.0 * (sizes[a] * sizes[b]) / (sizes[a] + sizes[b]));
  }
  double bound(int64_t a, int64_t b) const { return measure(a, b); }  // squared, not less than it is
  double num_pairs(int64_t, int64_t) const { return 1.0; }  // distances of points that `measure` looks at
  static double square(double distance) { return distance; }
};

// The mean squared distance over all pairs of two clusters' points, which centers and spreads say.
struct MeanSquareDistance {
  static constexpr Spreads kSpreads = Spreads::kPart;
  const Clusters& clusters;

  double half_inverse(int64_t) const { return 0.5; }
  double spread(int64_t cluster) const { return clusters.spreads[cluster]; }
  double measure(int64_t a, int64_t b) const {
    return (clusters.spreads[a] + clusters.spreads[b]) + clusters.square_between(a, b);
  }
  double bound(int64_t a, int64_t b) const { return measure(a, b); }
  double num_pairs(int64_t, int64_t) const { return 1.0; }
  static double square(double distance) { return distance; }
};

class NeighborFinder {
 public:
  // num_dims: of the clusters' centers. search: of the distance's kind.
  NeighborFinder(Team& team, int64_t num_dims, Search search);

  // Finds the nearest of every cluster whose state is not kKnown, which it then is.
  template <class Distance>
  void find(Clusters& clusters, const Distance& distance);

  // How many distances of two points the last call measured.
  double num_measured() const;

 private:
  template <class Distance>
  void pack(const Clusters& clusters, const Distance& distance);
  template <class Distance>
  void pack_leaf(const Clusters& clusters, const Distance& distance, int64_t leaf);
  template <class Distance>
  void start(const Clusters& clusters, const Distance& distance, Query& query, int64_t self) const;
  template <class Distance>
  void finish(Clusters& clusters, const Distance& distance, Query& query, double& num_measured) const;

  Team& team_;
  Search search_;
  Slack slack_{};
  Packed packed_;
  std::vector<Batch> batches_;  // one a thread
  std::vector<int32_t> rows_;
};

// Appends the first of each pair of mutual nearest neighbours; where there are none, of the closest pair, which always
// is a merge of the tree.
void find_pairs(const Clusters& clusters, std::vector<int32_t>& pairs);

}  // namespace ovsr
