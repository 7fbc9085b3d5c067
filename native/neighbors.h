// Nearest neighbours of clusters whose distance is Ward's; of single points that is the squared Euclidean one.
#pragma once

#include <cstdint>
#include <vector>

#include "clusters.h"
#include "search.h"
#include "team.h"

namespace ovsr {

// num_threads, or 1 where all distances together are not worth waking any.
int useful_threads(int num_threads, int64_t num_points, int64_t num_dims);

class NeighborFinder {
 public:
  // num_dims: of the clusters' centers.
  NeighborFinder(Team& team, int64_t num_dims, int vector_level);

  // Finds the nearest of every cluster whose state is not kKnown, which it then is.
  void find(Clusters& clusters);

 private:
  void pack(const Clusters& clusters);
  void pack_leaf(const Clusters& clusters, int64_t leaf);
  void answer(Clusters& clusters, int64_t begin, int64_t end, Batch& batch) const;
  void start(const Clusters& clusters, Query& query, int64_t self) const;
  void finish(Clusters& clusters, const Query& query) const;

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
