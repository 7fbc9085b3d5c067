#include "search.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace ovsr {

float Slack::widen(float squared, float half_inverse) const {
  // With |a| points here and any number there, ||c_a - c_b||^2 counts at most 2 |a| = 1 / h_a times.
  const float root = std::sqrt(squared) * (1.0f + relative) + 2.0f * absolute / std::sqrt(half_inverse);
  return root * root * (1.0f + relative);
}

namespace {

constexpr int kLanes = 16;
constexpr int kVectors = kLeaf / kLanes;
constexpr int64_t kDimsBeforeLook = 8;
constexpr float kDone = std::numeric_limits<float>::infinity();

// Compiled for any target: where vectors are narrower, the compiler splits these.
typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float))));
typedef int32_t Bits __attribute__((vector_size(kLanes * sizeof(int32_t))));
typedef int64_t Words __attribute__((vector_size(kLanes * sizeof(int32_t))));

#define OVSR_INLINE static inline __attribute__((always_inline))

OVSR_INLINE void load(Lanes& lanes, const float* values) { std::memcpy(&lanes, values, sizeof(Lanes)); }

// Comparisons go through sign bits: compilers take vectors of floats apart to compare them.
OVSR_INLINE bool all_negative(const Bits& bits) {
  const Words words = (Words)bits;
  const int64_t both =
      (words[0] & words[1]) & (words[2] & words[3]) & ((words[4] & words[5]) & (words[6] & words[7]));
  return both < 0 && static_cast<int32_t>(both) < 0;
}

OVSR_INLINE void keep_positive(Lanes& lanes) {
  const Bits bits = (Bits)lanes;
  lanes = (Lanes)(bits & ~(bits >> 31));
}

// The squared distance from a point to the nearest place in each leaf's box.
OVSR_INLINE void measure_gaps(const Packed& packed, const float* own, float* gaps) {
  const int64_t num_dims = packed.num_dims;
  for (int64_t first = 0; first < packed.num_leaves; first += kBoxes) {
    const float* lowest = &packed.lowest[first * num_dims];
    const float* highest = &packed.highest[first * num_dims];
    Lanes sum = {};
    for (int64_t dim = 0; dim < num_dims; ++dim) {
      Lanes low, high;
      load(low, lowest + dim * kBoxes);
      load(high, highest + dim * kBoxes);
      low -= own[dim * kLeaf];
      high = own[dim * kLeaf] - high;
      keep_positive(low);
      keep_positive(high);
      const Lanes gap = low + high;  // one of them is 0
      sum += gap * gap;
    }
    std::memcpy(gaps + first, &sum, sizeof(Lanes));
  }
}

template <Spreads kSpreads>
OVSR_INLINE void scan_leaf(const Packed& packed, int64_t leaf, const float* own, float own_half, const Slack& slack,
                           Query& query) {
  const int64_t num_dims = packed.num_dims;
  const float* coordinates = &packed.coordinates[leaf * num_dims * kLeaf];
  Lanes bound[kVectors], sum[kVectors] = {};
  for (int v = 0; v < kVectors; ++v) {
    Lanes halves;
    load(halves, &packed.half_inverses[leaf * kLeaf + v * kLanes]);
    bound[v] = query.limit * (halves + own_half);
    if (kSpreads == Spreads::kPart) {  // the halves sum to 1
      Lanes spreads;
      load(spreads, &packed.spreads[leaf * kLeaf + v * kLanes]);
      bound[v] -= spreads + packed.spreads[query.self];
    }
  }
  for (int64_t begin = 0; begin < num_dims; begin += kDimsBeforeLook) {
    const int64_t end = std::min(begin + kDimsBeforeLook, num_dims);
    for (int64_t dim = begin; dim < end; ++dim) {
      const float value = own[dim * kLeaf];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        Lanes other;
        load(other, coordinates + dim * kLeaf + v * kLanes);
        other -= value;
        sum[v] += other * other;
      }
    }
    Bits is_far = (Bits)(bound[0] - sum[0]);
    for (int v = 1; v < kVectors; ++v) is_far &= (Bits)(bound[v] - sum[v]);
    if (all_negative(is_far)) return;
  }
  float distances[kLeaf];
  for (int v = 0; v < kVectors; ++v) {
    Lanes halves;
    load(halves, &packed.half_inverses[leaf * kLeaf + v * kLanes]);
    Lanes distance = sum[v] / (halves + own_half);
    if (kSpreads == Spreads::kPart) {
      Lanes spreads;
      load(spreads, &packed.spreads[leaf * kLeaf + v * kLanes]);
      distance += spreads + packed.spreads[query.self];
    }
    std::memcpy(distances + v * kLanes, &distance, sizeof(Lanes));
  }
  for (int lane = 0; lane < kLeaf; ++lane) {
    const int64_t cluster = leaf * kLeaf + lane;
    if (distances[lane] <= query.limit && cluster != query.self) {
      query.candidates.push_back({static_cast<int32_t>(cluster), distances[lane]});
      const bool more = kSpreads == Spreads::kBound;
      const float spread = more ? packed.spreads[cluster] + packed.spreads[query.self] : 0.0f;
      query.limit = std::min(query.limit, slack.widen(distances[lane] + spread, own_half));
    }
  }
}

template <Spreads kSpreads>
OVSR_INLINE void search(const Packed& packed, const Slack& slack, Batch& batch) {
  const int64_t num_leaves = packed.num_leaves, stride = (num_leaves + kBoxes - 1) / kBoxes * kBoxes;
  const float* own[kQueries];
  float own_half[kQueries];
  for (int q = 0; q < batch.num_queries; ++q) {
    Query& query = batch.queries[q];
    const int64_t leaf = query.self / kLeaf;
    own[q] = &packed.coordinates[leaf * packed.num_dims * kLeaf + query.self % kLeaf];
    own_half[q] = packed.half_inverses[query.self];
    scan_leaf<kSpreads>(packed, leaf, own[q], own_half[q], slack, query);
    float* gaps = &batch.gaps[q * stride];
    measure_gaps(packed, own[q], gaps);
    gaps[leaf] = kDone;
  }
  // From the first query's leaf outwards: what is near is seen first, and lowers the limits.
  const int64_t home = batch.queries[0].self / kLeaf;
  for (int64_t step = 0; step < 2 * num_leaves; ++step) {
    const int64_t leaf = home + (step % 2 ? (step + 1) / 2 : -(step / 2));
    if (leaf < 0 || leaf >= num_leaves) continue;
    for (int q = 0; q < batch.num_queries; ++q) {
      Query& query = batch.queries[q];
      const float farthest = query.limit * (packed.largest_half_inverse[leaf] + own_half[q]);
      const float own_spread = kSpreads == Spreads::kPart ? packed.spreads[query.self] : 0.0f;
      if (batch.gaps[q * stride + leaf] > farthest - own_spread) continue;
      scan_leaf<kSpreads>(packed, leaf, own[q], own_half[q], slack, query);
    }
  }
}

#define OVSR_VARIANT(NAME, TARGET)                                                                    \
  TARGET void ward_##NAME(const Packed& packed, const Slack& slack, Batch& batch) {                   \
    search<Spreads::kNone>(packed, slack, batch);                                                     \
  }                                                                                                   \
  TARGET void mean_##NAME(const Packed& packed, const Slack& slack, Batch& batch) {                   \
    search<Spreads::kBound>(packed, slack, batch);                                                    \
  }                                                                                                   \
  TARGET void mean_square_##NAME(const Packed& packed, const Slack& slack, Batch& batch) {            \
    search<Spreads::kPart>(packed, slack, batch);                                                     \
  }                                                                                                   \
  Search choose_##NAME(Spreads spreads) {                                                             \
    return spreads == Spreads::kNone ? ward_##NAME : spreads == Spreads::kBound ? mean_##NAME : mean_square_##NAME; \
  }

OVSR_VARIANT(portable, )
#ifdef OVSR_X86
OVSR_VARIANT(avx2, __attribute__((target("avx2,fma"))))
OVSR_VARIANT(avx512, __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma,prefer-vector-width=512"))))
#endif

}  // namespace

int supported_level(int vector_level) {
#ifdef OVSR_X86
  __builtin_cpu_init();
  if (vector_level >= 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")) {
    return 2;
  }
  if (vector_level >= 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
  (void)vector_level;
  return 0;
}

Search choose_search(int vector_level, Spreads spreads) {
#ifdef OVSR_X86
  const int level = supported_level(vector_level);
  if (level == 2) return choose_avx512(spreads);
  if (level == 1) return choose_avx2(spreads);
#endif
  (void)vector_level;
  return choose_portable(spreads);
}

}  // namespace ovsr
