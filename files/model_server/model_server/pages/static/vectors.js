// Copyright: The modelops.serving contributors
// SPDX-License-Identifier: Apache-2.0
// Arithmetic of vectors.

const dot = (a, b) => a.reduce((sum, value, index) => sum + value * b[index], 0);

/** Cosine of the angle between two vectors; 0 where one has no length. */
export function cosine(a, b) {
  const lengths = Math.sqrt(dot(a, a) * dot(b, b));
  return lengths ? dot(a, b) / lengths : 0;
}

/** All cosines of a list of vectors, row by row. */
export const cosines = (vectors) => vectors.map((a) => vectors.map((b) => cosine(a, b)));

/** The pairs of different rows with the highest values: {a, b, value}. */
export function closestPairs(matrix, count) {
  const pairs = matrix.flatMap((row, a) => row.slice(a + 1).map((value, i) => ({ a, b: a + 1 + i, value })));
  return pairs.sort((one, other) => other.value - one.value).slice(0, count);
}

/** Least and greatest number of all vectors. */
export function extent(vectors) {
  let low = Infinity;
  let high = -Infinity;
  for (const vector of vectors) {
    for (const value of vector) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  return { low, high };
}
