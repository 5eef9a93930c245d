/* The kernels of gateway/dsp/kernels once more, in C: what a compiler makes of the same loops. Same numbers.
 *
 * TWIN(module_kernel) is what the benchmark calls, all through one signature: pointers of the arrays in the kernel's order; their shapes and the whole
 * numbers, in that order, as int64; the real numbers as double. Compiled with -O3 -march=native, without -ffast-math.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define TWIN(name) double twin_##name(void **a, const int64_t *n, const double *r)

typedef double twin(void **, const int64_t *, const double *);

/* Nanoseconds of this process's CPU that the fastest of `runs` calls took; sink keeps the calls from being left out. */
double fastest_ns(twin *f, void **a, const int64_t *n, const double *r, int64_t runs, volatile double *sink) {
    double best = INFINITY;
    for (int64_t i = 0; i < runs; i++) {
        struct timespec t0, t1;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
        *sink = f(a, n, r);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);
        best = MIN(best, 1e9 * (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec));
    }
    return best;
}

/* ---- intake ---- */

static int64_t examine(double *data, int64_t n, int64_t width, double full_scale, double *out) {
    int64_t real = 0, same = 0, clipped = 0, first = 0;
    double top = -INFINITY;
    for (int64_t at = 0; at + width <= n; at += width) {
        int whole = 1, equal = 1;
        for (int64_t k = at; k < at + width; k++) {
            double size = fabs(data[k]);
            if (size < full_scale) {
                top = MAX(top, data[k]);
            } else {
                clipped += size < INFINITY;
                data[k] = NAN;
                whole = 0;
            }
        }
        if (!whole) continue;
        if (real++ == 0) first = at;
        for (int64_t k = 0; k < width; k++) equal = equal && data[at + k] == data[first + k];
        same += equal;
    }
    out[0] = (double)clipped;
    out[1] = (double)same;
    out[2] = top;
    return real;
}
TWIN(intake_examine) { return (double)examine(a[0], n[0], n[1], r[0], a[1]); }

static double spread_of_vector(const double *data, int64_t n, int64_t width) {
    double total = 0.0;
    for (int64_t k = 0; k < width; k++) {
        int64_t count = 0;
        double mean = 0.0, square = 0.0;
        for (int64_t i = 0; i < n; i++) {
            if (isfinite(data[i * width + k])) {
                mean += data[i * width + k];
                count++;
            }
        }
        if (count == 0) return NAN;
        mean /= (double)count;
        for (int64_t i = 0; i < n; i++) {
            double off = data[i * width + k] - mean;
            if (isfinite(off)) square += off * off;
        }
        total += square / (double)count;
    }
    return sqrt(total);
}
TWIN(intake_spread) { (void)r; return spread_of_vector(a[0], n[0], n[1]); }

/* ---- filtering ---- */

static void sos_filter(const double *x, int64_t n, const double *sos, int64_t m, double *state, double *hold,
                       double *y) {
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(x[i])) {
            hold[0] = x[i];
            if (hold[2] == 0.0) {
                hold[1] = x[i];
                hold[2] = 1.0;
            }
        }
        double v = hold[0] - hold[1];
        for (int64_t s = 0; s < m; s++) {
            const double *c = sos + 6 * s;
            double *z = state + 2 * s;
            double w = c[0] * v + z[0];
            z[0] = c[1] * v - c[4] * w + z[1];
            z[1] = c[2] * v - c[5] * w;
            v = w;
        }
        y[i] = v;
    }
}
TWIN(filtering_sos_filter) { (void)r; sos_filter(a[0], n[0], a[1], n[1], a[2], a[3], a[4]); return 0.0; }

/* shapes: x (n,), phase (1,), window (k,); whole number: factor, given second */
static int64_t decimate(const double *x, int64_t n, int64_t factor, int64_t *phase, double *window, int64_t k) {
    int64_t kept = (phase[0] + n) / factor;
    int64_t shift = MIN(kept, k);
    memmove(window, window + shift, (size_t)(k - shift) * sizeof *window);
    int64_t at = k - kept, step = phase[0];
    for (int64_t i = 0; i < n; i++) {
        if (++step >= factor) {
            step = 0;
            if (at >= 0) window[at] = x[i];
            at++;
        }
    }
    phase[0] = step;
    return kept;
}
TWIN(filtering_decimate) { (void)r; return (double)decimate(a[0], n[0], n[1], a[1], a[2], n[3]); }

static double energy(const double *x, int64_t n) {
    double total = 0.0;
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(x[i])) {
            total += x[i] * x[i];
            count++;
        }
    }
    return count ? sqrt(total / (double)count) : NAN;
}
TWIN(filtering_energy) { (void)r; return energy(a[0], n[0]); }

/* ---- periodicity ---- */

static double dot(const double *a, const double *b, int64_t n) {
    double total = 0.0;
    for (int64_t i = 0; i < n; i++) total += a[i] * b[i];
    return total;
}
TWIN(periodicity_dot) { (void)r; return dot(a[0], a[1], n[0]); }

static double autocorrelation_peak(const double *x, int64_t n, int64_t shortest, int64_t longest, double guard,
                                   double *centred, double *acf, double *out) {
    out[0] = 0.0;
    double total = 0.0;
    for (int64_t i = 0; i < n; i++) total += x[i];
    double mean = total / (double)n;
    for (int64_t i = 0; i < n; i++) centred[i] = x[i] - mean;
    double power = dot(centred, centred, n);
    if (!(power > 0.0) || !isfinite(power)) return 0.0;
    for (int64_t lag = shortest - 1; lag < longest + 2; lag++)
        acf[lag] = dot(centred, centred + lag, n - lag) / power * (double)n / (double)(n - lag);
    double best = 0.0;
    int64_t at = 0;
    for (int64_t lag = shortest; lag <= longest; lag++) {
        if (acf[lag] > acf[lag - 1] && acf[lag] >= acf[lag + 1] && acf[lag] > best) {
            best = acf[lag];
            at = lag;
        }
    }
    if (at == 0) return 0.0;
    for (int64_t lag = shortest; lag < at; lag++) {
        if (acf[lag] > acf[lag - 1] && acf[lag] >= acf[lag + 1] && acf[lag] >= guard * best) {
            best = acf[lag];
            at = lag;
            break;
        }
    }
    out[0] = best;
    double curvature = acf[at - 1] - 2.0 * acf[at] + acf[at + 1];
    return (double)at + (curvature != 0.0 ? 0.5 * (acf[at - 1] - acf[at + 1]) / curvature : 0.0);
}
TWIN(periodicity_autocorrelation_peak) { return autocorrelation_peak(a[0], n[0], n[1], n[2], r[0], a[1], a[2], a[3]); }

static double expected_peak(const double *acf, int64_t shortest, int64_t longest, double expected, double spread) {
    double best = 0.0;
    int64_t at = 0;
    for (int64_t lag = shortest; lag <= longest; lag++) {
        if (acf[lag] > acf[lag - 1] && acf[lag] >= acf[lag + 1]) {
            double distance = log((double)lag / expected) / spread;
            double weighted = acf[lag] * exp(-0.5 * distance * distance);
            if (weighted > best) {
                best = weighted;
                at = lag;
            }
        }
    }
    if (at == 0) return 0.0;
    double curvature = acf[at - 1] - 2.0 * acf[at] + acf[at + 1];
    return (double)at + (curvature != 0.0 ? 0.5 * (acf[at - 1] - acf[at + 1]) / curvature : 0.0);
}
TWIN(periodicity_expected_peak) { return expected_peak(a[0], n[1], n[2], r[0], r[1]); }

static double highest(const double *centred, int64_t n, double power, double lag, double tolerance) {
    double best = -1.0;
    int64_t last = MIN(n - 2, (int64_t)(lag * (1.0 + tolerance)) + 2);
    for (int64_t at = (int64_t)(lag * (1.0 - tolerance)); at < last; at++) {
        double height = dot(centred, centred + at, n - at) / power * (double)n / (double)(n - at);
        best = !(height <= best) ? height : best;
    }
    return best;
}

static void echoes(const double *centred, int64_t n, double lag, double tolerance, double *out) {
    double power = dot(centred, centred, n);
    if (power == 0.0) {
        for (int k = 0; k < 5; k++) out[k] = 0.0;
        return;
    }
    out[0] = highest(centred, n, power, 2.0 * lag, tolerance);
    out[1] = highest(centred, n, power, 3.0 * lag, tolerance);
    out[2] = highest(centred, n, power, 0.5 * lag, tolerance);
    out[3] = highest(centred, n, power, 1.5 * lag, tolerance);
    int64_t at = MIN(n - 2, (int64_t)(1.5 * lag + 0.5));
    out[4] = dot(centred, centred + at, n - at) / power * (double)n / (double)(n - at);
}
TWIN(periodicity_echoes) { echoes(a[0], n[0], r[0], r[1], a[1]); return 0.0; }

static double power_of(const double *spectrum, int64_t k) {
    return spectrum[2 * k] * spectrum[2 * k] + spectrum[2 * k + 1] * spectrum[2 * k + 1];
}
TWIN(periodicity_line_share) {
    const double *spectrum = a[0];
    const int64_t *body = a[1], *limb = a[2];
    double whole = 0.0, best = 0.0, line = 0.0;
    for (int64_t k = body[0]; k < body[1]; k++) whole += power_of(spectrum, k);
    if (!(whole > 0.0)) return 0.0;
    int64_t at = limb[0], width = (int64_t)(r[0] + 1e-9);
    for (int64_t k = limb[0]; k < limb[1]; k++) {
        double power = power_of(spectrum, k);
        if (power > best) {
            best = power;
            at = k;
        }
    }
    for (int64_t k = MAX(0, at - width); k < MIN(n[0] / 2, at + width + 1); k++) line += power_of(spectrum, k);
    return line / whole;
}

/* ---- intervals ---- */

static void interval_likeness(const double *x, int64_t at, int64_t shortest, int64_t longest, double *scores) {
    int64_t width = longest + 1;
    for (int64_t k = 0; k < longest; k++) scores[5 * width + k] = x[at - 1 - k]; /* the kernel's scratch, unused here */
    for (int64_t k = 0; k < width; k++) {
        scores[k] = scores[width + k] = 0.0;
        scores[2 * width + k] = -INFINITY;
    }
    for (int64_t lag = shortest; lag <= longest; lag++) {
        double product = 0.0, apart = 0.0, top = -INFINITY;
        for (int64_t i = 0; i < lag; i++) {
            double before = x[at - lag + i], after = x[at + i], pair = before + after;
            product += before * after;
            apart += fabs(before - after);
            top = pair > top ? pair : top;
        }
        scores[lag] = product / (double)lag;
        scores[width + lag] = apart / (double)lag;
        scores[2 * width + lag] = top;
    }
}
/* at every hundredth sample, as the benchmark's own loop does with the kernel */
TWIN(intervals_likeness) {
    double *scores = a[1], *out = a[2];
    int64_t longest = n[2], width = n[4];
    (void)r;
    for (int64_t k = 1; k + 1 < n[5]; k++) {
        interval_likeness(a[0], 100 * k, n[1], longest, scores);
        out[k] = scores[longest] + scores[width + longest] + scores[2 * width + longest];
    }
    return 0.0;
}

static int64_t shortest_maximum(const double *score_of, int64_t shortest, int64_t longest, double guard) {
    double best = 0.0;
    int64_t at = 0;
    for (int64_t lag = shortest; lag <= longest; lag++) {
        if (score_of[lag] > best) {
            best = score_of[lag];
            at = lag;
        }
    }
    for (int64_t lag = shortest + 1; lag < at; lag++) {
        double score = score_of[lag];
        if (score >= guard * best && score > score_of[lag - 1] && score >= score_of[lag + 1]) return lag;
    }
    return at;
}

static void local_intervals(const double *x, int64_t n, double step, const int64_t *lags, double guard, double prior,
                            double spread, double *scores, double *out, int64_t rows) {
    int64_t shortest = lags[0], longest = lags[1], width = longest + 1;
    double *product = scores, *apart = scores + width, *pair = scores + 2 * width, *score_of = scores + 3 * width;
    double *weight = scores + 4 * width;
    for (int64_t lag = shortest; prior > 0.0 && lag <= longest; lag++) {
        double distance = log((double)lag / prior) / spread;
        weight[lag] = exp(-0.5 * distance * distance);
    }
    for (int64_t k = 0; k < rows; k++) {
        int64_t at = n - longest - (int64_t)nearbyint((double)(rows - 1 - k) * step);
        double *row = out + 2 * k;
        row[0] = row[1] = 0.0;
        double most_product = 0.0, least_apart = INFINITY, most_apart = 0.0, low = INFINITY, high = -INFINITY;
        interval_likeness(x, at, shortest, longest, scores);
        for (int64_t lag = shortest; lag <= longest; lag++) {
            most_product = MAX(most_product, product[lag]);
            least_apart = MIN(least_apart, apart[lag]);
            most_apart = MAX(most_apart, apart[lag]);
            low = MIN(low, pair[lag]);
            high = MAX(high, pair[lag]);
        }
        if (!(most_product > 0.0 && most_apart > least_apart && high > low)) continue;
        for (int64_t lag = shortest; lag <= longest; lag++) {
            double score = MAX(0.0, product[lag]) / most_product;
            score *= (most_apart - apart[lag]) / (most_apart - least_apart);
            score_of[lag] = score * (pair[lag] - low) / (high - low);
        }
        row[0] = row[1] = (double)shortest_maximum(score_of, shortest, longest, guard);
        if (prior > 0.0) {
            for (int64_t lag = shortest; lag <= longest; lag++) score_of[lag] *= weight[lag];
            row[1] = (double)shortest_maximum(score_of, shortest, longest, 1.0);
        }
    }
}
TWIN(intervals_local_intervals) {
    local_intervals(a[0], n[0], r[0], a[1], r[1], r[2], r[3], a[2], a[3], n[4]);
    return 0.0;
}

static double share_near(const double *lags, int64_t n, double lag, double tolerance) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) count += fabs(lags[i] - lag) < tolerance * lag;
    return (double)count / (double)n;
}
TWIN(intervals_share_near) { return share_near(a[0], n[0], r[0], r[1]); }

/* ---- breathing ---- */

static int64_t rises(const double *x, int64_t n, double centre, double swing, double *out, int64_t room) {
    int64_t found = 0;
    int below = 0;
    double crossed = -1.0;
    for (int64_t i = 0; i < n; i++) {
        double v = x[i] - centre;
        if (v < -swing) below = 1;
        if (!below) continue;
        if (v > 0.0 && crossed < 0.0) {
            crossed = (double)i;
            if (i > 0) {
                double before = x[i - 1] - centre;
                if (before <= 0.0) crossed = (double)i - v / (v - before);
            }
        } else if (v <= 0.0) {
            crossed = -1.0;
        }
        if (v > swing) {
            if (found < room) out[found++] = crossed;
            below = 0;
            crossed = -1.0;
        }
    }
    return found;
}
TWIN(breathing_rises) { return (double)rises(a[0], n[0], r[0], r[1], a[1], n[1]); }

static int64_t breaths(const double *x, int64_t n, double swing, double *work, double *out) {
    double mean = 0.0, square = 0.0;
    for (int64_t i = 0; i < n; i++) mean += x[i];
    mean /= (double)n;
    for (int64_t i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean);
    int64_t count = rises(x, n, mean, swing * sqrt(square / (double)n), work, n), intervals = count - 1;
    out[0] = out[1] = 0.0;
    if (count < 2) return count;
    double length = (work[intervals] - work[0]) / (double)intervals;
    square = 0.0;
    for (int64_t i = 0; i < intervals; i++) {
        double off = work[i + 1] - work[i] - length;
        square += off * off;
    }
    out[0] = length;
    out[1] = sqrt(square / (double)intervals);
    return count;
}
TWIN(breathing_breaths) { return (double)breaths(a[0], n[0], r[0], a[1], a[2]); }

static double largest_swing(const double *x, int64_t n) {
    double low = 0.0, high = 0.0;
    int seen = 0;
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(x[i])) {
            if (!seen) {
                low = high = x[i];
                seen = 1;
            }
            low = MIN(low, x[i]);
            high = MAX(high, x[i]);
        }
    }
    return high - low;
}
TWIN(breathing_largest_swing) { (void)r; return largest_swing(a[0], n[0]); }

/* ---- loading ---- */

static int64_t occupancy(const double *load, int64_t n, double rate_hz, double moving, const double *p, double *s) {
    double step_s = 1.0 / rate_hz, off_s = moving > 0.0 ? p[4] : p[3];
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(load[i])) {
            s[3] += step_s;
            if (s[3] > p[5]) s[0] = -1.0;
            continue;
        }
        s[3] = 0.0;
        s[1] = load[i] >= p[0] ? s[1] + step_s : 0.0;
        s[2] = load[i] <= p[1] ? s[2] + step_s : 0.0;
        if (s[1] >= p[2] - 0.5 * step_s)
            s[0] = 1.0;
        else if (s[2] >= off_s - 0.5 * step_s)
            s[0] = 0.0;
    }
    return (int64_t)s[0];
}
TWIN(loading_occupancy) { return (double)occupancy(a[0], n[0], r[0], r[1], a[1], a[2]); }

/* ---- falling ---- */

static void begin_candidate(double *s, double peak_g) {
    if (s[0] == 0.0 || s[1] > s[16]) {
        for (int k = 0; k < 3; k++) s[12 + k] = s[3 + k];
        s[2] = peak_g;
    } else if (peak_g > s[2]) {
        s[2] = peak_g;
    }
    s[0] = 1.0;
    for (int k = 9; k < 12; k++) s[k] = 0.0;
    s[1] = 0.0;
    for (int k = 17; k < 22; k++) s[k] = 0.0;
}

static double angle_deg(const double *a, const double *b) {
    double norm = sqrt((a[0] * a[0] + a[1] * a[1] + a[2] * a[2]) * (b[0] * b[0] + b[1] * b[1] + b[2] * b[2]));
    if (!(norm > 0.0)) return 0.0;
    double cosine = (a[0] * b[0] + a[1] * b[1] + a[2] * b[2]) / norm;
    return acos(MIN(1.0, MAX(-1.0, cosine))) * 180.0 / M_PI;
}

static double follow_gravity(const double *v, double slow, double fast, double *s) {
    if (s[15] == 0.0) {
        s[15] = 1.0;
        for (int k = 0; k < 3; k++) s[3 + k] = s[6 + k] = v[k];
    }
    double square = 0.0;
    for (int k = 0; k < 3; k++) {
        s[3 + k] += slow * (v[k] - s[3 + k]);
        s[6 + k] += fast * (v[k] - s[6 + k]);
        square += (v[k] - s[6 + k]) * (v[k] - s[6 + k]);
    }
    return sqrt(square);
}

static int64_t fall(const double *acc, int64_t n, double rate_hz, const double *p, double *s, double *out,
                    int64_t room) {
    int64_t found = 0;
    s[16] = p[1] * rate_hz;
    double confirm = p[2] * rate_hz, half = 0.5 * (s[16] + confirm);
    double slow = 1.0 - exp(-1.0 / (p[4] * rate_hz)), fast = 1.0 - exp(-1.0 / (0.25 * rate_hz));
    for (int64_t i = 0; i < n; i++) {
        const double *v = acc + 3 * i;
        int seen = isfinite(v[0]) && isfinite(v[1]) && isfinite(v[2]);
        double deviation = 0.0;
        if (seen) {
            deviation = follow_gravity(v, slow, fast, s);
            double magnitude = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
            if (magnitude > p[0]) begin_candidate(s, magnitude);
        }
        if (s[0] == 0.0) continue;
        s[1] += 1.0;
        if (seen) {
            s[19] += 1.0;
            if (s[1] > s[16]) {
                int still = deviation < p[3];
                s[18] += 1.0;
                s[17] += still ? 1.0 : 0.0;
                for (int k = 0; k < 3; k++) s[9 + k] += v[k];
                if (s[1] > half) {
                    s[21] += 1.0;
                    s[20] += still ? 0.0 : 1.0;
                }
            }
        }
        if (s[1] < confirm) continue;
        if (found < room) {
            double *row = out + 7 * found++;
            row[0] = (double)i;
            row[1] = s[2];
            row[2] = s[18] > 0.0 ? s[17] / s[18] : -1.0;
            row[3] = angle_deg(s + 12, s + 9);
            row[4] = s[19] / s[1];
            row[5] = s[21] > 0.0 ? s[20] / s[21] : 0.0;
            row[6] = s[1];
        }
        s[0] = 0.0;
    }
    return found;
}
TWIN(falling_fall) { return (double)fall(a[0], n[0], r[0], a[1], a[2], a[3], n[4]); }

/* ---- peaks ---- */

static int64_t elgendi_peaks(const double *x, int64_t n, double rate_hz, const double *p, double *sums, int64_t *out,
                             int64_t room) {
    sums[0] = 0.0;
    for (int64_t i = 0; i < n; i++) {
        double upper = x[i] > 0.0 ? x[i] : 0.0;
        sums[i + 1] = sums[i] + upper * upper;
    }
    int64_t near_half = (int64_t)(0.5 * p[0] * rate_hz), far_half = (int64_t)(0.5 * p[1] * rate_hz);
    int64_t found = 0, begin = -1, top = 0, last = -n;
    for (int64_t i = 0; i < n; i++) {
        double near_sum = sums[MIN(n, i + near_half + 1)] - sums[MAX(0, i - near_half)];
        double far_sum = sums[MIN(n, i + far_half + 1)] - sums[MAX(0, i - far_half)];
        if (near_sum * (double)(2 * far_half + 1) > far_sum * (double)(2 * near_half + 1)) {
            if (begin < 0)
                begin = top = i;
            else if (x[i] > x[top])
                top = i;
        } else if (begin >= 0) {
            if ((double)(i - begin) >= p[2] * rate_hz && (double)(top - last) >= p[3] * rate_hz && found < room) {
                out[found++] = top;
                last = top;
            }
            begin = -1;
        }
    }
    return found;
}
TWIN(peaks_elgendi_peaks) { return (double)elgendi_peaks(a[0], n[0], r[0], a[1], a[2], a[3], n[3]); }

static int64_t higher_than_both(const double *x, const double *before, const double *after, int64_t n) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) count += (x[i] > before[i]) & (x[i] > after[i]);
    return count;
}
TWIN(peaks_higher_than_both) { (void)r; return (double)higher_than_both(a[0], a[1], a[2], n[0]); }

static int64_t msptd_peaks(const double *x, int64_t n, int64_t longest, int64_t *out, int64_t room) {
    int64_t most = -1, scale = 1, found = 0;
    for (int64_t s = 1; s <= longest; s++) {
        int64_t count = higher_than_both(x + s, x, x + 2 * s, n - 2 * s);
        if (count > most) {
            most = count;
            scale = s;
        }
    }
    for (int64_t i = scale; i < n - scale; i++) {
        int peak = 1;
        for (int64_t s = 1; s <= scale && peak; s++) peak = x[i] > x[i - s] && x[i] > x[i + s];
        if (peak && found < room) out[found++] = i;
    }
    return found;
}
TWIN(peaks_msptd_peaks) { (void)r; return (double)msptd_peaks(a[0], n[0], n[1], a[1], n[2]); }

static double vertex(const double *x, int64_t n, int64_t at) {
    if (at <= 0 || at >= n - 1) return 0.0;
    double curvature = x[at - 1] - 2.0 * x[at] + x[at + 1];
    if (!(curvature < 0.0)) return 0.0;
    double offset = 0.5 * (x[at - 1] - x[at + 1]) / curvature;
    return isfinite(offset) ? MIN(0.5, MAX(-0.5, offset)) : 0.0;
}
/* at every sample, as the benchmark's own loop does with the kernel */
TWIN(peaks_vertex) {
    (void)r;
    double *out = a[1];
    for (int64_t i = 0; i < n[0]; i++) out[i] = vertex(a[0], n[0], i);
    return 0.0;
}

static double peak_likeness(const double *x, int64_t n, const int64_t *at, int64_t k, int64_t half, double *shape) {
    int64_t width = 2 * half + 1, used = 0;
    for (int64_t j = 0; j < width; j++) shape[j] = 0.0;
    for (int64_t p = 0; p < k; p++) {
        if (half <= at[p] && at[p] < n - half) {
            used++;
            for (int64_t j = 0; j < width; j++) shape[j] += x[at[p] - half + j];
        }
    }
    if (used < 2) return NAN;
    double centre = 0.0, power = 0.0, total = 0.0;
    for (int64_t j = 0; j < width; j++) {
        shape[j] /= (double)used;
        centre += shape[j] / (double)width;
    }
    for (int64_t j = 0; j < width; j++) power += (shape[j] - centre) * (shape[j] - centre);
    for (int64_t p = 0; p < k; p++) {
        if (!(half <= at[p] && at[p] < n - half)) continue;
        const double *w = x + at[p] - half;
        double mean = 0.0, product = 0.0, own = 0.0;
        for (int64_t j = 0; j < width; j++) mean += w[j] / (double)width;
        for (int64_t j = 0; j < width; j++) {
            product += (w[j] - mean) * (shape[j] - centre);
            own += (w[j] - mean) * (w[j] - mean);
        }
        total += own * power > 0.0 ? product / sqrt(own * power) : 0.0;
    }
    return total / (double)used;
}
TWIN(peaks_likeness) { (void)r; return peak_likeness(a[0], n[0], a[1], n[1], n[2], a[2]); }

/* ---- beats ---- */

enum { RATE, FILLING, GAP, MOVING, NO_AGREEMENT };
enum { HOPS, PUSHED, JUDGED, START_S, LAST_BEAT_S, LIKE, SEEN, NEW };

static void sort(double *values, int64_t n) {
    for (int64_t i = 1; i < n; i++) {
        double value = values[i];
        int64_t j = i - 1;
        for (; j >= 0 && values[j] > value; j--) values[j + 1] = values[j];
        values[j + 1] = value;
    }
}

static double spread(double *lengths, int64_t n) {
    sort(lengths, n);
    return (lengths[(3 * (n - 1) + 2) / 4] - lengths[(n - 1) / 4]) / lengths[n / 2];
}
/* of each twelve values in turn, as the benchmark's own loop does with the kernel */
TWIN(beats_spread) {
    (void)r;
    double total = 0.0;
    for (int64_t i = 0; i + 12 <= n[0]; i += 12) total += spread((double *)a[0] + i, 12);
    return total;
}

static void see(double when_s, int agreed, double *state, double *seen, int64_t room) {
    int64_t at = (int64_t)state[SEEN];
    if (at == room) memmove(seen, seen + 3, (size_t)(--at) * 3 * sizeof *seen);
    double length_s = when_s - state[LAST_BEAT_S];
    seen[3 * at] = when_s;
    seen[3 * at + 1] = agreed ? 1.0 : 0.0;
    seen[3 * at + 2] = agreed && 0.27 <= length_s && length_s <= 2.2 ? length_s : 0.0;
    state[LAST_BEAT_S] = agreed ? when_s : NAN;
    state[SEEN] = (double)(at + 1);
    state[NEW] += 1.0;
}

static int64_t nearest_of(int64_t at, const int64_t *others, int64_t count, int64_t nearest) {
    while (nearest + 1 < count && llabs(others[nearest + 1] - at) <= llabs(others[nearest] - at)) nearest++;
    return nearest;
}

static void judge(const double *x, int64_t n, double rate_hz, double known, double *state, double *elgendi, double *work,
                  int64_t *one, int64_t *two, double *seen, int64_t room) {
    int64_t twos = msptd_peaks(x, n, (int64_t)rate_hz, two, n);
    if (twos > 4) {
        for (int64_t i = 0; i + 1 < twos; i++) work[i] = (double)(two[i + 1] - two[i]);
        sort(work, twos - 1);
        double beat_s = 0.5 * (work[(twos - 1) / 2] + work[(twos - 2) / 2]) / rate_hz;
        elgendi[1] = MIN(1.2, MAX(0.5, 0.8 * beat_s));
    }
    int64_t ones = elgendi_peaks(x, n, rate_hz, elgendi, work, one, n);
    state[LIKE] = peak_likeness(x, n, two, twos, (int64_t)nearbyint(0.3 * rate_hz), work);
    int64_t end = (int64_t)state[PUSHED] - (int64_t)nearbyint(2.0 * rate_hz);
    int64_t first = MAX((int64_t)state[JUDGED], end - (int64_t)ceil(rate_hz));
    state[JUDGED] = (double)end;
    if (known < 1.0) {
        state[LAST_BEAT_S] = NAN;
        return;
    }
    double near_by = 0.12 * rate_hz;
    int64_t before = (int64_t)state[PUSHED] - n, i = 0, j = 0, by_one = 0, by_two = 0;
    while (i < twos || j < ones) {
        int64_t at;
        int agreed = 0;
        if (j == ones || (i < twos && two[i] <= one[j])) {
            at = two[i++];
            by_one = nearest_of(at, one, ones, by_one);
            agreed = ones > 0 && (double)llabs(one[by_one] - at) <= near_by;
        } else {
            at = one[j++];
            by_two = nearest_of(at, two, twos, by_two);
            if (twos > 0 && (double)llabs(two[by_two] - at) <= near_by) continue;
        }
        if (first <= before + at && before + at < end)
            see(state[START_S] + ((double)(before + at + 1) + vertex(x, n, at)) / rate_hz, agreed, state, seen, room);
    }
}

static int rate_of(const double *recent, const double *state, const double *seen, double *work, double *out) {
    double share = 0.0, moved = 0.0, agreed = 0.0, total = 0.0;
    for (int k = 0; k < 8; k++) {
        share += recent[2 * k];
        moved = MAX(moved, recent[2 * k + 1]);
    }
    share /= 8.0;
    if (share < 0.8) return GAP;
    if (!(moved < 0.3)) return MOVING;
    int64_t count = 0, n = (int64_t)state[SEEN];
    for (int64_t i = 0; i < n; i++) {
        agreed += seen[3 * i + 1];
        if (seen[3 * i + 2] > 0.0) total += work[count++] = seen[3 * i + 2];
    }
    if (count < 4) return NO_AGREEMENT;
    agreed /= (double)n;
    double like = isfinite(state[LIKE]) ? MAX(0.0, (state[LIKE] - 0.5) / 0.5) : 0.0;
    double steady = MAX(0.0, 1.0 - spread(work, count) / 0.6);
    out[0] = 60.0 * (double)count / total;
    out[1] = share * agreed * agreed * steady * like * (1.0 - 0.5 * moved / 0.3);
    return RATE;
}

/* the whole recording second by second, as the benchmark's own loop does with the kernel; out: (seconds, 3) */
TWIN(beats_second) {
    double *sos = a[1], *carried = a[2], *hold = a[3], *filtered = a[4], *x = a[6], *state = a[7], *recent = a[8];
    double *elgendi = a[9], *work = a[10], *seen = a[12], *out = a[13], rate_hz = r[2];
    int64_t *found = a[11], m = n[6], factor = n[7], room = n[9], rows = n[17], seconds = n[19];
    for (int64_t s = 0; s < seconds; s++) {
        sos_filter((const double *)a[0] + s * m, m, sos, 2, carried, hold, filtered);
        state[PUSHED] += (double)decimate(filtered, m, factor, a[5], x, room);
        state[HOPS] += 1.0;
        state[NEW] = 0.0;
        memmove(recent, recent + 2, 14 * sizeof *recent);
        recent[14] = r[0];
        recent[15] = r[1];
        double *row = out + 3 * s;
        row[2] = FILLING;
        if (state[PUSHED] < (double)room) continue;
        judge(x, room, rate_hz, recent[10], state, elgendi, work, found + room, found, seen, rows);
        double oldest_s = state[HOPS] - 2.0 - 8.0;
        int64_t gone = 0, kept = (int64_t)state[SEEN];
        while (gone < kept && seen[3 * gone] < oldest_s) gone++;
        memmove(seen, seen + 3 * gone, (size_t)(kept - gone) * 3 * sizeof *seen);
        state[SEEN] = (double)(kept - gone);
        row[2] = rate_of(recent, state, seen, work, row);
    }
    return 0.0;
}
