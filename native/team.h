// A few threads that live as long as one call: no OpenMP, whose own thread pool would meet PyTorch's.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace ovsr {

class Team {
 public:
  // The caller is a member. Where the system gives fewer threads than asked for, the team is smaller.
  explicit Team(int num_threads) {
    try {
      for (int member = 1; member < num_threads; ++member) threads_.emplace_back([this, member] { serve(member); });
    } catch (const std::system_error&) {
    }
  }

  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  ~Team() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      over_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  int size() const { return static_cast<int>(threads_.size()) + 1; }

  // work(begin, end, member) for chunks that together are 0 to count; members take the next chunk when they are free.
  // work must not throw.
  template <class Work>
  void for_chunks(int64_t count, int64_t chunk, const Work& work) {
    std::atomic<int64_t> next{0};
    auto take_chunks = [&](int member) {
      for (;;) {
        const int64_t begin = next.fetch_add(chunk, std::memory_order_relaxed);
        if (begin >= count) return;
        work(begin, std::min(begin + chunk, count), member);
      }
    };
    if (threads_.empty() || count <= chunk) {
      take_chunks(0);
      return;
    }
    {
      std::lock_guard<std::mutex> lock(mutex_);
      job_ = [](const void* closure, int member) { (*static_cast<const decltype(take_chunks)*>(closure))(member); };
      closure_ = &take_chunks;
      num_busy_ = static_cast<int>(threads_.size());
      ++job_number_;
    }
    wake_.notify_all();
    take_chunks(0);
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return num_busy_ == 0; });
  }

 private:
  void serve(int member) {
    uint64_t last_job = 0;
    for (;;) {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return over_ || job_number_ != last_job; });
      if (over_) return;
      last_job = job_number_;
      const auto job = job_;
      const void* closure = closure_;
      lock.unlock();
      job(closure, member);
      lock.lock();
      if (--num_busy_ == 0) done_.notify_one();
    }
  }

  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  void (*job_)(const void*, int) = nullptr;
  const void* closure_ = nullptr;
  uint64_t job_number_ = 0;
  int num_busy_ = 0;
  bool over_ = false;
};

}  // namespace ovsr
