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
    finder_.emplace(team_, num_kept, vector_level);
  }

  const Dendrogram& run() {
    int64_t count_when_ordered = std::numeric_limits<int64_t>::max();
    while (clusters_.count() > 1) {
      if (clusters_.count() < count_when_ordered / 2) {
        reorder(clusters_);
        count_when_ordered = clusters_.count();
      }
      finder_->find(clusters_);
      find_pairs(clusters_, pairs_);
      merge_pairs();
    }
    for (double& height : tree_.heights) height = std::sqrt(height) * scale_;
    return tree_;
  }

 private:
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
  std::optional<NeighborFinder> finder_;
  double scale_ = 1.0;
  Clusters clusters_;
  std::vector<int32_t> pairs_, place_;  // place_: where a cluster, or the union with it, is after a round
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
