// One step of ACProp on many dense tensors, one pass over memory: reads param, grad, exp_avg, exp_avg_var, writes all but
// grad. The maths is that of ACProp._update in acprop.py; `T` is the parameter's type, `S` the state's and the maths'.
//
// No header of torch and no library: the object loads beside any version of torch, and its threads are those of the
// OpenMP runtime that torch has loaded. fused.py compiles it, and says which entry is for which processor.
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
  const int64_t* sizes;
};

// -- the step ----------------------------------------------------------------------------------------------------------

template <class S>
static void update(int64_t size, S* __restrict param, const S* __restrict grad, S* __restrict exp_avg,
                   S* __restrict exp_avg_var, const Scalars& k) {
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
    const S ratio = (from_grad * g + from_mean * m) / (std::sqrt(s * scale + under_root) + offset);
    const S clipped = ratio > clip ? clip : ratio < -clip ? -clip : ratio;  // NaN passes
    param[j] = p * shrink - lr * clipped;
    // update the second moment around the mean
    exp_avg_var[j] = beta2 * s + weight2 * (g - m) * (g - m);
  }
}

// -- 16-bit parameters go through float, a block that stays in the first cache at a time -------------------------------

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

template <class T>
static void update_16_bits(int64_t size, T* param, const T* grad, float* exp_avg, float* exp_avg_var,
                           const Scalars& k) {
  constexpr int64_t block = 512;
  float p[block], g[block];
  for (int64_t j = 0; j < size; j += block) {
    const int64_t n = size - j < block ? size - j : block;
    widen(n, param + j, p);
    widen(n, grad + j, g);
    update(n, p, g, exp_avg + j, exp_avg_var + j, k);
    narrow(n, p, param + j);
  }
}

// -- threads: each takes an equal stretch of all elements, wherever tensors begin and end ------------------------------

template <class T, class S>
static void stretch(const Tensors& all, const Scalars& k, int64_t from, int64_t to) {
  for (int64_t i = 0, start = 0; i < all.count && start < to; start += all.sizes[i++]) {
    const int64_t first = from > start ? from - start : 0;
    const int64_t last = to - start < all.sizes[i] ? to - start : all.sizes[i];
    if (first >= last) continue;
    T *param = static_cast<T*>(all.params[i]) + first, *grad = static_cast<T*>(all.grads[i]) + first;
    S *exp_avg = static_cast<S*>(all.exp_avgs[i]) + first, *exp_avg_var = static_cast<S*>(all.exp_avg_vars[i]) + first;
    if constexpr (sizeof(T) == 2)
      update_16_bits(last - first, param, grad, exp_avg, exp_avg_var, k);
    else
      update(last - first, param, grad, exp_avg, exp_avg_var, k);
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

#define KERNEL(name, T, S) \
  extern "C" void name(const Tensors* all, const Scalars* k) { run({stretch<T, S>, *all, *k, 0}); }
KERNEL(float32, float, float)
KERNEL(float64, double, double)
KERNEL(bfloat16, BFloat16, float)
KERNEL(float16, Float16, float)

// Counts the steps of `count` tensors up and tells them.
extern "C" void advance(int64_t count, float* const* steps, double* now) {
  for (int64_t i = 0; i < count; i++) now[i] = *steps[i] += 1;
}
