// Exact clustering by rounds of mutual nearest neighbours, in memory linear in the number of points: by Ward's linkage, and
// by the mean squared distance.
//
// Both are reducible: merging two clusters never brings the union nearer to a third than the nearer of them
// was. So every pair of mutual nearest neighbours is a merge of the tree, all such pairs can merge in one round, and a
// cluster whose nearest did not merge keeps it.
#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <optional>
#include <vector>

#include "clustering.h"
#include "clusters.h"
#include "dendrogram.h"
#include "neighbors.h"
#include "team.h"

namespace ovsr {
namespace {

template <class Distance>
class Rounds {
 public:
  Rounds(const double* points, int64_t num_points, int64_t num_dims, int num_threads, int vector_level)
      : tree_(num_points), team_(useful_threads(num_threads, num_points, num_dims)) {
    std::vector<double> standardized;
    int64_t num_kept = 0;
    scale_ = standardize(points, num_points, num_dims, standardized, num_kept);
    clusters_ = merge_equal(standardized, num_points, num_kept, tree_);
    finder_.emplace(team_, num_kept, choose_search(vector_level, Distance::kSpreads));
  }

  // Heights are what `height` makes of a distance between points whose largest norm is 1 and their scale.
  template <class Height>
  const Dendrogram& run(const Height& height) {
    int64_t count_when_ordered = std::numeric_limits<int64_t>::max();
    while (clusters_.count() > 1) {
      if (clusters_.count() < count_when_ordered / 2) {
        reorder(clusters_);
        count_when_ordered = clusters_.count();
      }
      finder_->find(clusters_, Distance{clusters_});
      find_pairs(clusters_, pairs_);
      merge_pairs(clusters_, pairs_, tree_, place_);
    }
    for (double& each : tree_.heights) each = height(each, scale_);
    return tree_;
  }

 private:
  Dendrogram tree_;
  Team team_;
  std::optional<NeighborFinder> finder_;
  double scale_ = 1.0;
  Clusters clusters_;
  std::vector<int32_t> pairs_, place_;
};

template <class Distance, class Height>
int32_t cluster(const double* points, int64_t num_points, int64_t num_dims, int32_t num_threads, int32_t vector_level,
                int64_t* merges, double* heights, const Height& height) {
  if (num_points < 1 || num_points > std::numeric_limits<int32_t>::max() || num_dims < 0) return OVSR_BAD_ARGUMENT;
  try {
    Rounds<Distance> rounds(points, num_points, num_dims, num_threads, vector_level);
    rounds.run(height).write_sorted(merges, heights);
  } catch (const std::bad_alloc&) {
    return OVSR_OUT_OF_MEMORY;
  }
  return OVSR_OK;
}

}  // namespace
}  // namespace ovsr

extern "C" {

int32_t ovsr_clustering_abi_version() { return 4; }

int32_t ovsr_ward(const double* points, int64_t num_points, int64_t num_dims, int32_t num_threads,
                  int32_t vector_level, int64_t* merges, double* heights) {
  return ovsr::cluster<ovsr::WardDistance>(points, num_points, num_dims, num_threads, vector_level, merges, heights,
                                           [](double square, double scale) { return std::sqrt(square) * scale; });
}

int32_t ovsr_average_squared(const double* points, int64_t num_points, int64_t num_dims, int32_t num_threads,
                             int32_t vector_level, int64_t* merges, double* heights) {
  return ovsr::cluster<ovsr::MeanSquareDistance>(points, num_points, num_dims, num_threads, vector_level, merges,
                                                 heights,
                                                 [](double square, double scale) { return square * scale * scale; });
}

}  // extern "C"
