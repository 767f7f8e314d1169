/** Medians and spreads. */

/** A sample in short: its size, its median, and the values below which a tenth and nine tenths of it are. */
export interface Spread {
  readonly rounds: number;
  readonly p10: number;
  readonly median: number;
  readonly p90: number;
}

/** The spread of a sample that is not empty. */
export function spreadOf(values: readonly number[]): Spread {
  return {
    rounds: values.length,
    p10: quantile(values, 0.1),
    median: quantile(values, 0.5),
    p90: quantile(values, 0.9),
  };
}

/** The value below which a share of the sample is, interpolated between neighbours; NaN for an empty sample. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const low = sorted[Math.floor(at)] ?? NaN;
  const high = sorted[Math.ceil(at)] ?? NaN;
  return low + (high - low) * (at - Math.floor(at));
}
