// Copyright: The modelops.serving contributors
// SPDX-License-Identifier: Apache-2.0
// One scale for vectors and similarities: orange, neutral, blue. Both hues stay apart in every
// common form of colour blindness; no value is told by colour alone.

const dark = matchMedia("(prefers-color-scheme: dark)");

const SCALES = {
  light: { low: [191, 91, 4], middle: [244, 245, 247], high: [24, 84, 158] },
  dark: { low: [236, 142, 62], middle: [33, 40, 50], high: [96, 165, 240] },
};

/** Call back when the page turns dark or light. */
export const onSchemeChange = (callback) => dark.addEventListener("change", callback);

/** Colour of a value from -1 to 1, as red, green and blue from 0 to 255. */
export function colour(value) {
  const scale = SCALES[dark.matches ? "dark" : "light"];
  const share = Math.min(1, Math.abs(value));
  const end = value < 0 ? scale.low : scale.high;
  return scale.middle.map((from, index) => Math.round(from + (end[index] - from) * share));
}

/** Black or white, whichever has the higher contrast on a colour (WCAG 2 relative luminance). */
export function ink(rgb) {
  const [r, g, b] = rgb.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#10161d" : "#ffffff";
}

export const css = (rgb) => `rgb(${rgb.join(" ")})`;
