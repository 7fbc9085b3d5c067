// Clusters of few points each under average linkage: rounds of merges that need no matrix.
#pragma once

#include <cstdint>
#include <vector>

#include "clusters.h"
#include "dendrogram.h"
#include "distances.h"
#include "search.h"
#include "team.h"

namespace ovsr {

struct Groups {
  Clusters clusters;            // sizes: numbers of points; distances and formed: means, not squared
  std::vector<double> points;   // (num_points, num_dims), those of a cluster side by side
  std::vector<double> weights;  // (num_points): how many equal points each stands for
  std::vector<int32_t> begins;  // (count + 1): where each cluster's points are

  // Clusters of one point, or of equal ones.
  explicit Groups(Clusters&& singles);

  int64_t num_points() const { return static_cast<int64_t>(weights.size()); }
};

// The mean distance over all pairs of two clusters' points, for a NeighborFinder.
struct MeanDistance {
  static constexpr Spreads kSpreads = Spreads::kBound;
  const Groups& groups;
  const RowKernels& kernels;

  double half_inverse(int64_t) const { return 0.5; }
  double spread(int64_t cluster) const { return groups.clusters.spreads[cluster]; }
  double measure(int64_t a, int64_t b) const;  // the same bits for (a, b) and (b, a)
  double bound(int64_t a, int64_t b) const;    // squared: the mean of squares is not less than the mean's square
  double num_pairs(int64_t a, int64_t b) const {
    return double(groups.begins[a + 1] - groups.begins[a]) * (groups.begins[b + 1] - groups.begins[b]);
  }
  static double square(double distance) { return distance * distance; }
};

// Merges until few clusters are left, or as much has to be measured in a round that a matrix of those left pays.
void merge_groups(Groups& groups, Dendrogram& tree, Team& team, int vector_level);

}  // namespace ovsr
