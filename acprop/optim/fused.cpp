// One step of ACProp on many dense tensors, one pass over memory: reads param, grad, exp_avg, exp_avg_var, writes all but
// grad. The maths is that of ACProp._update in acprop.py; `T` is the parameter's type, `S` the state's and the maths'.
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

struct Scalars {
  double lr, shrink, weight_decay, sign, beta1, beta2, clip;
  double from_grad, from_mean, keep, scale, under_root, offset;
};

template <class T, class S>
static void step(int64_t count, T** params, T** grads, S** exp_avgs, S** exp_avg_vars, const int64_t* sizes,
                 const Scalars& k) {
  const S lr = k.lr, shrink = k.shrink, weight_decay = k.weight_decay, sign = k.sign, clip = k.clip;
  const S beta2 = k.beta2, weight1 = 1 - k.beta1, weight2 = 1 - k.beta2;
  const S from_grad = k.from_grad, from_mean = k.from_mean;
  const S keep = k.keep, scale = k.scale, under_root = k.under_root, offset = k.offset;
  int64_t total = 0;
  for (int64_t i = 0; i < count; i++) total += sizes[i];

#pragma omp parallel if (total > 32768)
  {
    // every thread takes an equal stretch of all elements, wherever tensors begin and end
    const int64_t threads = omp_get_num_threads(), me = omp_get_thread_num();
    const int64_t from = total * me / threads, to = total * (me + 1) / threads;
    for (int64_t i = 0, start = 0; i < count && start < to; start += sizes[i++]) {
      const int64_t first = std::max(from - start, int64_t(0)), last = std::min(to - start, sizes[i]);
      T* __restrict param = params[i];
      const T* __restrict grad = grads[i];
      S* __restrict exp_avg = exp_avgs[i];
      S* __restrict exp_avg_var = exp_avg_vars[i];
      for (int64_t j = first; j < last; j++) {
        const S x = S(param[j]) * shrink;
        const S g = sign * S(grad[j]) + weight_decay * S(param[j]);
        // update the mean
        const S m = exp_avg[j] + weight1 * (g - exp_avg[j]);
        exp_avg[j] = m;
        // step by the gradient, or the mean, over yesterday's deviation
        const S s = exp_avg_var[j] + keep;
        const S update = (from_grad * g + from_mean * m) / (std::sqrt(s * scale + under_root) + offset);
        const S clipped = update > clip ? clip : update < -clip ? -clip : update;  // NaN passes
        param[j] = T(x - lr * clipped);
        // update the second moment around the mean
        exp_avg_var[j] = beta2 * s + weight2 * (g - m) * (g - m);
      }
    }
  }
}

#define KERNEL(name, T, S)                                                                                    \
  extern "C" void name(int64_t count, T** params, T** grads, S** exp_avgs, S** exp_avg_vars, const int64_t* sizes, \
                       const Scalars* k) {                                                                    \
    step<T, S>(count, params, grads, exp_avgs, exp_avg_vars, sizes, *k);                                      \
  }
KERNEL(float32, float, float)
KERNEL(float64, double, double)
KERNEL(bfloat16, c10::BFloat16, float)
KERNEL(float16, c10::Half, float)
