#include <algorithm>
#include <cstring>

#include "guided.h"
#include "search.h"

namespace ovsr {
namespace {

typedef double Wide __attribute__((vector_size(4 * sizeof(double))));

#define OVSR_INLINE static inline __attribute__((always_inline))

OVSR_INLINE void load(Wide& wide, const double* values) { std::memcpy(&wide, values, sizeof wide); }
OVSR_INLINE void store(double* values, const Wide& wide) { std::memcpy(values, &wide, sizeof wide); }

OVSR_INLINE void add_row(const Four* row, double sign, int64_t width, double* columns) {
  for (int64_t x = 0; x < width; ++x) {
    Wide sum;
    load(sum, columns + 4 * x);
    store(columns + 4 * x, sum + sign * __builtin_convertvector(row[x], Wide));
  }
}

// Means over windows, cut off at the image's border, of what is `values` in a box and 0 elsewhere; for `wanted`, which
// is that box grown by the radius. sums: as many rows as the box has and columns as are wanted. Running sums, in
// float64, since a sum that is taken back must leave nothing.
OVSR_INLINE void box_means(const Four* values, const Box& box, const Box& wanted, int64_t radius, const Size& size,
                           Four* sums, double* columns, Four* means) {
  const int64_t width = wanted.columns();
  for (int64_t y = 0; y < box.rows(); ++y) {
    const Four* row = values + y * box.columns();
    Four* out = sums + y * width;
    Wide sum = {};
    for (int64_t x = box.left; x < std::min(wanted.left + radius, box.right); ++x) {
      sum += __builtin_convertvector(row[x - box.left], Wide);
    }
    for (int64_t x = wanted.left; x < wanted.right; ++x) {
      const int64_t entering = x + radius, leaving = x - radius - 1;
      if (entering < box.right) sum += __builtin_convertvector(row[entering - box.left], Wide);
      if (leaving >= box.left) sum -= __builtin_convertvector(row[leaving - box.left], Wide);
      out[x - wanted.left] = __builtin_convertvector(sum, Four);
    }
  }
  std::fill(columns, columns + 4 * width, 0.0);
  const Four* first = sums - box.top * width;
  for (int64_t y = box.top; y < std::min(wanted.top + radius, box.bottom); ++y) {
    add_row(first + y * width, 1.0, width, columns);
  }
  for (int64_t y = wanted.top; y < wanted.bottom; ++y) {
    const int64_t entering = y + radius, leaving = y - radius - 1;
    if (entering < box.bottom) add_row(first + entering * width, 1.0, width, columns);
    if (leaving >= box.top) add_row(first + leaving * width, -1.0, width, columns);
    const double share = 1.0 / window(y, radius, size.rows);
    Four* out = means + (y - wanted.top) * width;
    for (int64_t x = 0; x < width; ++x) {
      Wide sum;
      load(sum, columns + 4 * x);
      out[x] = __builtin_convertvector(sum * (share / window(wanted.left + x, radius, size.columns)), Four);
    }
  }
}

OVSR_INLINE void fit(const GuidedTask& task, const std::vector<GuidePixel>& guide, const Taps& rows,
                     const Taps& columns, int64_t label, const Box& inside, const Box& box, Scratch& scratch,
                     Four* coefficients) {
  // The label's score at the guide's size, 1 at its cells' centres and 0 at the others', times the guide's colours.
  for (int64_t y = inside.top; y < inside.bottom; ++y) {
    const int64_t* upper = task.labels + rows.low[y] * task.cells.columns;
    const int64_t* lower = task.labels + rows.high[y] * task.cells.columns;
    const GuidePixel* pixels = &guide[y * task.guide.columns];
    Four* out = &scratch.scores[(y - inside.top) * inside.columns()];
    const float down = rows.weight[y], up = 1.0f - down;
    for (int64_t x = inside.left; x < inside.right; ++x) {
      const int32_t low = columns.low[x], high = columns.high[x];
      const float left = up * (upper[low] == label) + down * (lower[low] == label);
      const float right = up * (upper[high] == label) + down * (lower[high] == label);
      out[x - inside.left] = (left + columns.weight[x] * (right - left)) * pixels[x].color;
    }
  }
  const Box near = grow(inside, task.radius, task.guide);
  Four* fitted = scratch.coefficients.data();
  box_means(scratch.scores.data(), inside, near, task.radius, task.guide, scratch.sums.data(), scratch.columns.data(),
            fitted);
  for (int64_t y = near.top; y < near.bottom; ++y) {
    const GuidePixel* pixels = &guide[y * task.guide.columns];
    for (int64_t x = near.left; x < near.right; ++x, ++fitted) {
      const GuidePixel& pixel = pixels[x];
      const float mean = (*fitted)[3];
      const Four joint = *fitted - mean * pixel.mean;  // covariance of the score and the colours; last 0
      const Four offset = {0.0f, 0.0f, 0.0f, mean};
      *fitted = joint[0] * pixel.columns[0] + joint[1] * pixel.columns[1] + joint[2] * pixel.columns[2] + offset;
    }
  }
  box_means(scratch.coefficients.data(), near, box, task.radius, task.guide, scratch.sums.data(),
            scratch.columns.data(), coefficients);
}

OVSR_INLINE void apply(const Taps& rows, const Taps& columns, int64_t row, int64_t label, const Box& box,
                       const Four* coefficients, const Four* colors, Four* between, float* most, int64_t* winners) {
  const int64_t upper = rows.low[row], lower = rows.high[row], width = box.columns();
  if (lower < box.top || upper >= box.bottom) return;
  const float down = rows.weight[row], up = 1.0f - down;
  // between: the row of coefficients, with a 0 at either end: outside of the box there are none.
  between[0] = between[width + 1] = Four{};
  const bool has_upper = upper >= box.top, has_lower = lower < box.bottom;
  const Four* first = coefficients + (upper - box.top) * width;
  const Four* second = coefficients + (lower - box.top) * width;
  for (int64_t x = 0; x < width; ++x) {
    Four value = {};
    if (has_upper) value += up * first[x];
    if (has_lower) value += down * second[x];
    between[x + 1] = value;
  }
  const auto begin = std::lower_bound(columns.high.begin(), columns.high.end(), box.left) - columns.high.begin();
  const auto end = std::lower_bound(columns.low.begin(), columns.low.end(), box.right) - columns.low.begin();
  const int64_t shift = 1 - box.left;
  for (int64_t x = begin; x < end; ++x) {
    const Four left = between[std::max<int64_t>(columns.low[x] + shift, 0)];
    const Four right = between[std::min<int64_t>(columns.high[x] + shift, width + 1)];
    const Four parts = (left + columns.weight[x] * (right - left)) * colors[x];
    const float score = (parts[0] + parts[1]) + (parts[2] + parts[3]);
    const bool wins = score > most[x];
    most[x] = wins ? score : most[x];
    winners[x] = wins ? label : winners[x];
  }
}

#define OVSR_VARIANT(NAME, TARGET)                                                                                  \
  TARGET void fit_##NAME(const GuidedTask& task, const std::vector<GuidePixel>& guide, const Taps& rows,            \
                         const Taps& columns, int64_t label, const Box& inside, const Box& box, Scratch& scratch,   \
                         Four* coefficients) {                                                                      \
    fit(task, guide, rows, columns, label, inside, box, scratch, coefficients);                                     \
  }                                                                                                                 \
  TARGET void apply_##NAME(const Taps& rows, const Taps& columns, int64_t row, int64_t label, const Box& box,       \
                           const Four* coefficients, const Four* colors, Four* between, float* most,                \
                           int64_t* winners) {                                                                      \
    apply(rows, columns, row, label, box, coefficients, colors, between, most, winners);                            \
  }                                                                                                                 \
  const GuidedKernels guided_##NAME{fit_##NAME, apply_##NAME};

OVSR_VARIANT(portable, )
#ifdef OVSR_X86
OVSR_VARIANT(avx2, __attribute__((target("avx2,fma"))))
#endif

}  // namespace

// Wider vectors than AVX2's would be half empty: a pixel has four numbers.
const GuidedKernels& choose_guided_kernels(int vector_level) {
#ifdef OVSR_X86
  if (supported_level(vector_level) >= 1) return guided_avx2;
#endif
  (void)vector_level;
  return guided_portable;
}

}  // namespace ovsr
