#include "groups.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "neighbors.h"
#include "search.h"

namespace ovsr {
namespace {

constexpr int64_t kFew = 256;
constexpr double kWorthMatrix = 1.0 / 64.0;  // distances measured in a round, of the square of the number of points

void merge_round(Groups& groups, const std::vector<int32_t>& pairs, Dendrogram& tree, std::vector<int32_t>& place) {
  Clusters& clusters = groups.clusters;
  const int64_t count = clusters.count(), num_dims = clusters.num_dims;
  std::vector<int32_t> partner(count, -1), begins{0};
  std::vector<uint8_t> is_gone(count, 0);
  for (const int32_t first : pairs) {
    partner[first] = clusters.nearest[first];
    is_gone[clusters.nearest[first]] = 1;
  }
  std::vector<double> points, weights;
  points.reserve(groups.points.size());
  weights.reserve(groups.weights.size());
  const auto append = [&](int64_t cluster) {
    const int64_t begin = groups.begins[cluster], end = groups.begins[cluster + 1];
    points.insert(points.end(), groups.points.begin() + begin * num_dims, groups.points.begin() + end * num_dims);
    weights.insert(weights.end(), groups.weights.begin() + begin, groups.weights.begin() + end);
  };
  for (int64_t i = 0; i < count; ++i) {
    if (is_gone[i]) continue;
    append(i);
    if (partner[i] >= 0) append(partner[i]);
    begins.push_back(static_cast<int32_t>(weights.size()));
  }
  groups.points.swap(points);
  groups.weights.swap(weights);
  groups.begins.swap(begins);
  merge_pairs(clusters, pairs, tree, place);
}

// How many distances the clusters whose nearest is not known have to at least two others of usual size.
double distances_ahead(const Groups& groups) {
  double sum = 0.0;
  for (int64_t i = 0; i < groups.clusters.count(); ++i) {
    if (groups.clusters.states[i] != State::kKnown) sum += groups.begins[i + 1] - groups.begins[i];
  }
  return sum * groups.num_points() / groups.clusters.count();
}

}  // namespace

Groups::Groups(Clusters&& singles) : clusters(std::move(singles)) {
  reorder(clusters);
  points = clusters.centers;
  weights = clusters.sizes;
  begins.resize(clusters.count() + 1);
  std::iota(begins.begin(), begins.end(), 0);
}

double MeanDistance::measure(int64_t a, int64_t b) const {
  if (a > b) std::swap(a, b);
  const int64_t first = groups.begins[a], second = groups.begins[b], num_dims = groups.clusters.num_dims;
  const double sum = kernels.sum_between(&groups.points[first * num_dims], &groups.weights[first],
                                         groups.begins[a + 1] - first, &groups.points[second * num_dims],
                                         &groups.weights[second], groups.begins[b + 1] - second, num_dims);
  return sum / (groups.clusters.sizes[a] * groups.clusters.sizes[b]);
}

double MeanDistance::bound(int64_t a, int64_t b) const {
  const Clusters& clusters = groups.clusters;
  return clusters.spreads[a] + clusters.spreads[b] + clusters.square_between(a, b);
}

void merge_groups(Groups& groups, Dendrogram& tree, Team& team, int vector_level) {
  NeighborFinder finder(team, groups.clusters.num_dims, choose_search(vector_level, Spreads::kBound));
  const MeanDistance distance{groups, choose_kernels(vector_level)};
  const double enough = kWorthMatrix * groups.num_points() * groups.num_points();
  std::vector<int32_t> pairs, place;
  while (groups.clusters.count() > kFew) {
    finder.find(groups.clusters, distance);
    find_pairs(groups.clusters, pairs);
    merge_round(groups, pairs, tree, place);
    if (distances_ahead(groups) > enough || finder.num_measured() > enough) return;
  }
}

}  // namespace ovsr
