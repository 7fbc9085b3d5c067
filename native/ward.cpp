// Exact Ward clustering by rounds of mutual nearest neighbours, in memory linear in the number of points.
//
// Ward's linkage is reducible: merging two clusters never brings the union nearer to a third than the nearer of them
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

class Ward {
 public:
  Ward(const double* points, int64_t num_points, int64_t num_dims, int num_threads, int vector_level)
      : tree_(num_points), team_(useful_threads(num_threads, num_points, num_dims)) {
    std::vector<double> standardized;
    int64_t num_kept = 0;
    scale_ = standardize(points, num_points, num_dims, standardized, num_kept);
    clusters_ = merge_equal(standardized, num_points, num_kept, tree_);
    finder_.emplace(team_, num_kept, choose_search(vector_level, false));
  }

  const Dendrogram& run() {
    int64_t count_when_ordered = std::numeric_limits<int64_t>::max();
    while (clusters_.count() > 1) {
      if (clusters_.count() < count_when_ordered / 2) {
        reorder(clusters_);
        count_when_ordered = clusters_.count();
      }
      finder_->find(clusters_, WardDistance{clusters_});
      find_pairs(clusters_, pairs_);
      merge_pairs(clusters_, pairs_, tree_, place_);
    }
    for (double& height : tree_.heights) height = std::sqrt(height) * scale_;
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

}  // namespace
}  // namespace ovsr

extern "C" {

int32_t ovsr_clustering_abi_version() { return 2; }

int32_t ovsr_ward(const double* points, int64_t num_points, int64_t num_dims, int32_t num_threads,
                  int32_t vector_level, int64_t* merges, double* heights) {
  if (num_points < 1 || num_points > std::numeric_limits<int32_t>::max() || num_dims < 0) return OVSR_BAD_ARGUMENT;
  try {
    ovsr::Ward ward(points, num_points, num_dims, num_threads, vector_level);
    ward.run().write_sorted(merges, heights);
  } catch (const std::bad_alloc&) {
    return OVSR_OUT_OF_MEMORY;
  }
  return OVSR_OK;
}

}  // extern "C"
