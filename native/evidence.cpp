// Evidence for maps on a grid, of which few say something about one place: each cell has a short list instead of every
// map a grid. What the maps say of a cell sums to 1 at most, so that the lists cost what the grid has, not what it has
// times the maps.
#include <algorithm>
#include <cmath>
#include <limits>

#include "clustering.h"
#include "guided.h"

namespace ovsr {
namespace {

constexpr int kMost = OVSR_MOST_MAPS;
constexpr float kLeast = 1.0f / 4096;  // less is nothing: what is missing to 1 goes to the cell's segment of the next image

struct Entry {
  uint16_t map;
  float value;
};

struct Evidence {
  const int32_t* starts;
  const uint16_t* maps;
  const float* values;

  int64_t size(int64_t cell) const { return starts[cell + 1] - starts[cell]; }

  // Of a map in a cell.
  float at(int64_t cell, uint16_t map) const {
    for (int32_t place = starts[cell]; place < starts[cell + 1]; ++place) {
      if (maps[place] >= map) return maps[place] == map ? values[place] : 0.0f;
    }
    return 0.0f;
  }
};

// A cell's entries while they are gathered, in ascending order of their maps: those of five cells at most.
class List {
 public:
  void clear() { count_ = 0; }

  void add(uint16_t map, float value) {
    int place = count_;
    while (place > 0 && entries_[place - 1].map > map) --place;
    if (place > 0 && entries_[place - 1].map == map) {
      entries_[place - 1].value += value;
      return;
    }
    std::copy_backward(entries_ + place, entries_ + count_, entries_ + count_ + 1);
    entries_[place] = {map, value};
    ++count_;
  }

  float sum() const {
    float sum = 0.0f;
    for (int place = 0; place < count_; ++place) sum += entries_[place].value;
    return sum;
  }

  void scale(float by) {
    for (int place = 0; place < count_; ++place) entries_[place].value *= by;
  }

  // Leave out what is less than `least`, and the smallest where there are too many.
  void trim(float least) {
    int kept = 0;
    for (int place = 0; place < count_; ++place) {
      if (entries_[place].value >= least) entries_[kept++] = entries_[place];
    }
    count_ = kept;
    while (count_ > kMost) {
      const auto smallest =
          std::min_element(entries_, entries_ + count_, [](const Entry& a, const Entry& b) { return a.value < b.value; });
      std::copy(smallest + 1, entries_ + count_, smallest);
      --count_;
    }
  }

  int size() const { return count_; }
  const Entry& operator[](int place) const { return entries_[place]; }

 private:
  Entry entries_[5 * kMost];
  int count_ = 0;
};

// Lists, cell by cell.
class Writer {
 public:
  Writer(int32_t* starts, uint16_t* maps, float* values) : starts_(starts), maps_(maps), values_(values) {
    *starts_ = 0;
  }

  void put(uint16_t map, float value) {
    maps_[count_] = map;
    values_[count_++] = value;
  }

  void put(const List& list) {
    for (int place = 0; place < list.size(); ++place) put(list[place].map, list[place].value);
  }

  void end_cell() { *++starts_ = count_; }

  int32_t count() const { return count_; }

 private:
  int32_t* starts_;
  uint16_t* maps_;
  float* values_;
  int32_t count_ = 0;
};

// Whether lists are as `clustering.h` has them: what is read by them later is then in bounds.
bool is_sound(const Evidence& evidence, int64_t num_cells, int64_t num_maps) {
  constexpr int64_t kMostCells = std::numeric_limits<int32_t>::max() / kMost;
  if (num_cells < 1 || num_cells > kMostCells || num_maps < 1 || num_maps > 1 + std::numeric_limits<uint16_t>::max()) {
    return false;
  }
  if (evidence.starts[0] != 0) return false;
  for (int64_t cell = 0; cell < num_cells; ++cell) {
    const int64_t size = evidence.size(cell);
    if (size < 0 || size > kMost) return false;
    for (int32_t place = evidence.starts[cell]; place < evidence.starts[cell + 1]; ++place) {
      if (evidence.maps[place] >= num_maps) return false;
      if (place > evidence.starts[cell] && evidence.maps[place - 1] >= evidence.maps[place]) return false;
    }
  }
  return true;
}

bool are_below(const int64_t* numbers, int64_t count, int64_t least, int64_t end) {
  for (int64_t i = 0; i < count; ++i) {
    if (numbers[i] < least || numbers[i] >= end) return false;
  }
  return true;
}

// An origin on the grid; not a number: its first place.
float clip(float place, int64_t length) {
  const float last = static_cast<float>(length - 1);
  return place > 0.0f ? std::min(place, last) : 0.0f;
}

void carry(const Evidence& old, int64_t rows, int64_t columns, const float* origins, const float* belief,
           Writer& writer) {
  List list;
  for (int64_t cell = 0; cell < rows * columns; ++cell, origins += 2) {
    const float x = clip(origins[0], columns), y = clip(origins[1], rows);
    const int64_t left = static_cast<int64_t>(x), top = static_cast<int64_t>(y);
    const float right_share = x - left, lower_share = y - top;
    const int64_t right = right_share > 0.0f ? 1 : 0, lower = lower_share > 0.0f ? columns : 0;
    const int64_t first = top * columns + left;
    const int64_t cells[] = {first, first + right, first + lower, first + lower + right};
    const bool is_one_map = [&] {
      for (const int64_t each : cells) {
        if (old.size(each) != 1 || old.maps[old.starts[each]] != old.maps[old.starts[first]]) return false;
      }
      return true;
    }();
    const float shares[] = {(1.0f - lower_share) * (1.0f - right_share), (1.0f - lower_share) * right_share,
                            lower_share * (1.0f - right_share), lower_share * right_share};
    if (is_one_map) {  // as nearly everywhere
      float value = 0.0f;
      for (int i = 0; i < 4; ++i) value += shares[i] * old.values[old.starts[cells[i]]];
      value *= belief[cell];
      if (value >= kLeast) writer.put(old.maps[old.starts[first]], value);
    } else {
      list.clear();
      for (int i = 0; i < 4; ++i) {
        if (!(shares[i] > 0.0f)) continue;
        for (int32_t place = old.starts[cells[i]]; place < old.starts[cells[i] + 1]; ++place) {
          list.add(old.maps[place], shares[i] * old.values[place]);
        }
      }
      list.scale(belief[cell]);
      list.trim(kLeast);
      writer.put(list);
    }
    writer.end_cell();
  }
}

// Which of four maps has most where evidence is interpolated between four cells.
int64_t best_of_four(const Evidence& evidence, const int64_t (&cells)[4], const int64_t (&maps)[4],
                     const float (&shares)[4]) {
  int64_t best = maps[0];
  float most = -1.0f;
  for (int i = 0; i < 4; ++i) {
    if (std::find(maps, maps + i, maps[i]) != maps + i) continue;
    float value = 0.0f;
    for (int j = 0; j < 4; ++j) value += shares[j] * evidence.at(cells[j], static_cast<uint16_t>(maps[i]));
    if (value > most) {
      most = value;
      best = maps[i];
    }
  }
  return best;
}

}  // namespace
}  // namespace ovsr

using ovsr::Evidence;

extern "C" int32_t ovsr_evidence_carry(const int32_t* starts, const uint16_t* maps, const float* values, int64_t rows,
                                       int64_t columns, int64_t num_maps, const float* origins, const float* belief,
                                       int32_t* new_starts, uint16_t* new_maps, float* new_values) {
  const Evidence evidence{starts, maps, values};
  if (!ovsr::is_sound(evidence, rows * columns, num_maps)) return -OVSR_BAD_ARGUMENT;
  ovsr::Writer writer(new_starts, new_maps, new_values);
  ovsr::carry(evidence, rows, columns, origins, belief, writer);
  return writer.count();
}

extern "C" int32_t ovsr_evidence_gather(const int32_t* starts, const uint16_t* maps, const float* values,
                                        int64_t num_cells, const int64_t* labels, int64_t num_labels,
                                        const int64_t* map_of_label, int64_t num_maps, float memory,
                                        int32_t* new_starts, uint16_t* new_maps, float* new_values) {
  const Evidence evidence{starts, maps, values};
  if (!ovsr::is_sound(evidence, num_cells, num_maps) || !ovsr::are_below(labels, num_cells, 0, num_labels) ||
      !ovsr::are_below(map_of_label, num_labels, 0, num_maps)) {
    return -OVSR_BAD_ARGUMENT;
  }
  ovsr::Writer writer(new_starts, new_maps, new_values);
  ovsr::List list;
  for (int64_t cell = 0; cell < num_cells; ++cell) {
    const uint16_t map = static_cast<uint16_t>(map_of_label[labels[cell]]);
    list.clear();
    if (memory > 0.0f) {
      for (int32_t place = starts[cell]; place < starts[cell + 1]; ++place) list.add(maps[place], memory * values[place]);
    }
    list.add(map, std::max(0.0f, 1.0f - list.sum()));
    list.trim(std::numeric_limits<float>::min());
    writer.put(list);
    writer.end_cell();
  }
  return writer.count();
}

extern "C" int32_t ovsr_evidence_take(const int32_t* starts, const uint16_t* maps, const float* values,
                                      int64_t num_cells, const int64_t* new_number, const float* lent,
                                      int64_t num_maps, int32_t* new_starts, uint16_t* new_maps, float* new_values) {
  const Evidence evidence{starts, maps, values};
  if (!ovsr::is_sound(evidence, num_cells, num_maps) || !ovsr::are_below(new_number, num_maps, -1, num_maps)) {
    return -OVSR_BAD_ARGUMENT;
  }
  ovsr::Writer writer(new_starts, new_maps, new_values);
  ovsr::List list;
  for (int64_t cell = 0; cell < num_cells; ++cell) {
    list.clear();
    for (int32_t place = starts[cell]; place < starts[cell + 1]; ++place) {
      const uint16_t map = maps[place];
      if (new_number[map] >= 0) list.add(static_cast<uint16_t>(new_number[map]), values[place]);
      if (lent[map] > 0.0f) list.add(0, lent[map] * values[place]);
    }
    list.trim(std::numeric_limits<float>::min());
    writer.put(list);
    writer.end_cell();
  }
  return writer.count();
}

extern "C" int32_t ovsr_evidence_overlaps(const int32_t* starts, const uint16_t* maps, const float* values,
                                          int64_t rows, int64_t columns, int64_t num_maps, const int64_t* labels,
                                          int64_t num_labels, int64_t stride, float* sums, float* peaks) {
  const Evidence evidence{starts, maps, values};
  if (!ovsr::is_sound(evidence, rows * columns, num_maps) || stride < 1 ||
      !ovsr::are_below(labels, rows * columns, 0, num_labels)) {
    return OVSR_BAD_ARGUMENT;
  }
  std::fill(sums, sums + num_maps * num_labels, 0.0f);
  std::fill(peaks, peaks + num_maps, 0.0f);
  for (int32_t place = 0; place < starts[rows * columns]; ++place) {
    float& peak = peaks[maps[place]];
    peak = std::max(peak, values[place]);
  }
  for (int64_t y = 0; y < rows; y += stride) {
    for (int64_t cell = y * columns; cell < (y + 1) * columns; cell += stride) {
      for (int32_t place = starts[cell]; place < starts[cell + 1]; ++place) {
        sums[maps[place] * num_labels + labels[cell]] += values[place];
      }
    }
  }
  return OVSR_OK;
}

extern "C" int32_t ovsr_evidence_winners(const int32_t* starts, const uint16_t* maps, const float* values,
                                         int64_t num_cells, int64_t num_maps, int64_t* winners, int64_t* num_won,
                                         float* peaks) {
  const Evidence evidence{starts, maps, values};
  if (!ovsr::is_sound(evidence, num_cells, num_maps)) return OVSR_BAD_ARGUMENT;
  std::fill(num_won, num_won + num_maps, int64_t{0});
  std::fill(peaks, peaks + num_maps, 0.0f);
  for (int64_t cell = 0; cell < num_cells; ++cell) {
    float most = 0.0f;
    winners[cell] = 0;
    for (int32_t place = starts[cell]; place < starts[cell + 1]; ++place) {
      peaks[maps[place]] = std::max(peaks[maps[place]], values[place]);
      if (values[place] > most) {
        most = values[place];
        winners[cell] = maps[place];
      }
    }
    ++num_won[winners[cell]];
  }
  return OVSR_OK;
}

extern "C" int32_t ovsr_evidence_upsample(const int32_t* starts, const uint16_t* maps, const float* values,
                                          int64_t rows, int64_t columns, const int64_t* winners, int64_t new_rows,
                                          int64_t new_columns, int32_t* labels) {
  constexpr int64_t kMostMaps = 1 + std::numeric_limits<uint16_t>::max();
  const Evidence evidence{starts, maps, values};
  if (!ovsr::is_sound(evidence, rows * columns, kMostMaps) || new_rows < 1 || new_columns < 1 ||
      !ovsr::are_below(winners, rows * columns, 0, kMostMaps)) {
    return OVSR_BAD_ARGUMENT;
  }
  try {
    const ovsr::Taps down(rows, new_rows), across(columns, new_columns);
    for (int64_t y = 0; y < new_rows; ++y) {
      const int64_t upper = down.low[y] * columns, lower = down.high[y] * columns;
      for (int64_t x = 0; x < new_columns; ++x) {
        const int64_t cells[] = {upper + across.low[x], upper + across.high[x], lower + across.low[x],
                                 lower + across.high[x]};
        const int64_t around[] = {winners[cells[0]], winners[cells[1]], winners[cells[2]], winners[cells[3]]};
        int64_t best = around[0];
        if (around[1] != best || around[2] != best || around[3] != best) {
          const float wy = down.weight[y], wx = across.weight[x];
          const float shares[] = {(1.0f - wy) * (1.0f - wx), (1.0f - wy) * wx, wy * (1.0f - wx), wy * wx};
          best = ovsr::best_of_four(evidence, cells, around, shares);
        }
        *labels++ = static_cast<int32_t>(best);
      }
    }
  } catch (const std::bad_alloc&) {
    return OVSR_OUT_OF_MEMORY;
  }
  return OVSR_OK;
}
