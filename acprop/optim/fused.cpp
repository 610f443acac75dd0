// One step of ACProp on many dense tensors, one pass over memory: reads param, grad, exp_avg, exp_avg_var, writes all but
// grad. The maths is that of ACProp._update in acprop.py; `T` is the parameter's type, `S` the state's and the maths'.
//
// No header of torch and no library: the object loads beside any version of torch, and its threads are those of the
// OpenMP runtime that torch has loaded. kernel.py compiles it, once for each set of instructions.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#ifdef __F16C__
#include <immintrin.h>
#endif

extern "C" __attribute__((weak)) void GOMP_parallel(void (*)(void*), void*, unsigned threads, unsigned flags);
extern "C" __attribute__((weak)) int omp_get_num_threads();
extern "C" __attribute__((weak)) int omp_get_thread_num();

struct Scalars {
  double lr, shrink, weight_decay, sign, beta1, beta2, clip;
  double from_grad, from_mean, keep, scale, under_root, offset;
};

struct Tensors {
  int64_t count;
  void *const *params, *const *grads, *const *exp_avgs, *const *exp_avg_vars;
  void *const *max_exp_avg_vars, *const *low_bits;  // null without amsgrad, without kahan_sum
  const int64_t* sizes;
};

// -- the step ----------------------------------------------------------------------------------------------------------

template <bool amsgrad, class S>
static void update(int64_t size, S* __restrict param, const S* __restrict grad, S* __restrict exp_avg,
                   S* __restrict exp_avg_var, S* __restrict max_exp_avg_var, const Scalars& k) {
  const S lr = k.lr, shrink = k.shrink, weight_decay = k.weight_decay, sign = k.sign, clip = k.clip;
  const S beta2 = k.beta2, weight1 = 1 - k.beta1, weight2 = 1 - k.beta2;
  const S from_grad = k.from_grad, from_mean = k.from_mean;
  const S keep = k.keep, scale = k.scale, under_root = k.under_root, offset = k.offset;
  for (int64_t j = 0; j < size; j++) {
    const S p = param[j], g = sign * grad[j] + weight_decay * p;
    // update the mean
    const S m = exp_avg[j] + weight1 * (g - exp_avg[j]);
    exp_avg[j] = m;
    // step by the gradient, or the mean, over yesterday's deviation
    const S s = exp_avg_var[j] + keep;
    S variance = s;
    if (amsgrad) {
      const S largest = max_exp_avg_var[j];
      variance = max_exp_avg_var[j] = s < largest || largest != largest ? largest : s;  // NaN stays, as in torch.maximum
    }
    const S ratio = (from_grad * g + from_mean * m) / (std::sqrt(variance * scale + under_root) + offset);
    const S clipped = ratio > clip ? clip : ratio < -clip ? -clip : ratio;  // NaN passes
    param[j] = p * shrink - lr * clipped;
    // update the second moment around the mean
    exp_avg_var[j] = beta2 * s + weight2 * (g - m) * (g - m);
  }
}

// -- 16-bit parameters go through float, a block that stays in the first cache at a time -------------------------------

constexpr int64_t block = 512;
struct BFloat16 { uint16_t bits; };
struct Float16 { uint16_t bits; };

static inline float as_float(uint32_t bits) { float x; std::memcpy(&x, &bits, 4); return x; }
static inline uint32_t as_bits(float x) { uint32_t bits; std::memcpy(&bits, &x, 4); return bits; }

static inline float widen(BFloat16 x) { return as_float(uint32_t(x.bits) << 16); }
static inline BFloat16 narrow(BFloat16, float x) {
  const uint32_t bits = as_bits(x), even = bits + 0x7fffu + (bits >> 16 & 1u);
  return {uint16_t((x != x ? 0x7fc00000u : even) >> 16)};
}

static inline float widen(Float16 x) {
  const uint32_t sign = uint32_t(x.bits & 0x8000u) << 16, magnitude = x.bits & 0x7fffu;
  const float normal = as_float((magnitude << 13) + 0x70000000u) * 0x1p-112f;  // infinities and NaN become themselves
  const float subnormal = as_float(magnitude | 0x3f000000u) - 0.5f;
  return as_float(sign | (magnitude < 0x400u ? as_bits(subnormal) : as_bits(normal)));
}
static inline Float16 narrow(Float16, float x) {
  const uint32_t bits = as_bits(x), sign = bits >> 16 & 0x8000u, twice = bits + bits;
  const uint32_t exponent = twice & 0xff000000u, bias = exponent < 0x71000000u ? 0x71000000u : exponent;
  // adding a power of two rounds to the 10 bits that stay; what float16 cannot hold has become infinity before
  const uint32_t sum = as_bits(as_float((bias >> 1) + 0x07800000u) + (std::fabs(x) * 0x1p+112f) * 0x1p-110f);
  const uint32_t magnitude = (sum >> 13 & 0x7c00u) + (sum & 0x0fffu);
  return {uint16_t(sign | (x != x ? 0x7e00u : magnitude))};
}

template <class T>
static void widen(int64_t size, const T* __restrict from, float* __restrict to) {
  int64_t i = 0;
#ifdef __F16C__  // compilers do not find these instructions by themselves
  if constexpr (std::is_same<T, Float16>::value)
    for (; i + 8 <= size; i += 8) _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(from + i))));
#endif
  for (; i < size; i++) to[i] = widen(from[i]);
}

template <class T>
static void narrow(int64_t size, const float* __restrict from, T* __restrict to) {
  int64_t i = 0;
#ifdef __F16C__
  if constexpr (std::is_same<T, Float16>::value)
    for (; i + 8 <= size; i += 8) _mm_storeu_si128((__m128i*)(to + i), _mm256_cvtps_ph(_mm256_loadu_ps(from + i), 0));
#endif
  for (; i < size; i++) to[i] = narrow(T(), from[i]);
}

// kahan_sum: a float is what parameter and low bits are together; join and split_ in tensors.py say the same
struct LowBits { int16_t bits; };

static void join(int64_t size, const BFloat16* __restrict param, const LowBits* __restrict low, float* __restrict to) {
  for (int64_t i = 0; i < size; i++) to[i] = as_float((uint32_t(param[i].bits) << 16) + uint32_t(int32_t(low[i].bits)));
}
static void split(int64_t size, const float* __restrict from, BFloat16* __restrict param, LowBits* __restrict low) {
  for (int64_t i = 0; i < size; i++) {
    const uint32_t bits = as_bits(from[i]), high = (bits + 0x8000u) >> 16;
    param[i].bits = uint16_t(high);
    low[i].bits = int16_t(bits - (high << 16));
  }
}
static void join(int64_t size, const Float16* __restrict param, const Float16* __restrict low, float* __restrict to) {
  float rest[block];
  widen(size, param, to);
  widen(size, low, rest);
  for (int64_t i = 0; i < size; i++) to[i] += rest[i] * 0x1p-11f;
}
static void split(int64_t size, const float* __restrict from, Float16* __restrict param, Float16* __restrict low) {
  float rest[block];
  narrow(size, from, param);
  widen(size, param, rest);
  for (int64_t i = 0; i < size; i++) rest[i] = (from[i] - rest[i]) * 0x1p+11f;
  narrow(size, rest, low);
}

template <bool amsgrad, class T, class Low>
static void update(int64_t size, T* param, const T* grad, float* exp_avg, float* exp_avg_var, float* max_exp_avg_var,
                   Low* low, const Scalars& k) {
  float p[block], g[block];
  for (int64_t j = 0; j < size; j += block) {
    const int64_t n = size - j < block ? size - j : block;
    low ? join(n, param + j, low + j, p) : widen(n, param + j, p);
    widen(n, grad + j, g);
    update<amsgrad>(n, p, g, exp_avg + j, exp_avg_var + j, amsgrad ? max_exp_avg_var + j : nullptr, k);
    low ? split(n, p, param + j, low + j) : narrow(n, p, param + j);
  }
}

// -- threads: each takes an equal stretch of all elements, wherever tensors begin and end ------------------------------

template <class T>
static T* at(void* const* tensors, int64_t i, int64_t first) {
  return tensors ? static_cast<T*>(tensors[i]) + first : nullptr;
}

template <bool amsgrad, class T, class S, class Low>
static void stretch(const Tensors& all, const Scalars& k, int64_t from, int64_t to) {
  for (int64_t i = 0, start = 0; i < all.count && start < to; start += all.sizes[i++]) {
    const int64_t first = from > start ? from - start : 0;
    const int64_t last = to - start < all.sizes[i] ? to - start : all.sizes[i];
    if (first >= last) continue;
    T *param = at<T>(all.params, i, first), *grad = at<T>(all.grads, i, first);
    S *exp_avg = at<S>(all.exp_avgs, i, first), *exp_avg_var = at<S>(all.exp_avg_vars, i, first);
    S* max_exp_avg_var = at<S>(all.max_exp_avg_vars, i, first);
    if constexpr (std::is_same<T, S>::value)
      update<amsgrad>(last - first, param, grad, exp_avg, exp_avg_var, max_exp_avg_var, k);
    else
      update<amsgrad>(last - first, param, grad, exp_avg, exp_avg_var, max_exp_avg_var, at<Low>(all.low_bits, i, first), k);
  }
}

struct Work {
  void (*stretch)(const Tensors&, const Scalars&, int64_t from, int64_t to);
  const Tensors& all;
  const Scalars& scalars;
  int64_t total;
};

static void share(void* given) {
  const Work& work = *static_cast<Work*>(given);
  const int64_t threads = omp_get_num_threads(), me = omp_get_thread_num();
  work.stretch(work.all, work.scalars, work.total * me / threads, work.total * (me + 1) / threads);
}

static void run(Work work) {
  for (int64_t i = 0; i < work.all.count; i++) work.total += work.all.sizes[i];
  if (GOMP_parallel && work.total > 32768)
    GOMP_parallel(share, &work, 0, 0);
  else
    work.stretch(work.all, work.scalars, 0, work.total);
}

#define KERNEL(name, T, S, Low)                                                                        \
  extern "C" void name(const Tensors* all, const Scalars* k) {                                         \
    run({all->max_exp_avg_vars ? stretch<true, T, S, Low> : stretch<false, T, S, Low>, *all, *k, 0});  \
  }
KERNEL(float32, float, float, void)
KERNEL(float64, double, double, void)
KERNEL(bfloat16, BFloat16, float, LowBits)
KERNEL(float16, Float16, float, Float16)

// Counts the steps of `count` tensors up and tells them.
extern "C" void advance(int64_t count, float* const* steps, double* now) {
  for (int64_t i = 0; i < count; i++) now[i] = *steps[i] += 1;
}
