// Figures of scripts/bench: medians with their spread, ratios pair by pair, and the table.

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

function spread(values) {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/**
 * One line of the table. Ratios are of what was measured in one round, since a noisy machine is
 * slow for both; `ours`, `yardstick` and `unit` are series of milliseconds of equal length.
 */
export function measure({ name, ours, yardstick, ratio, aim }) {
  const ratios = ours.map((_, round) => ratio(round));
  const result = {
    measure: name,
    ours: spread(ours),
    yardstick: spread(yardstick),
    ratio: spread(ratios),
  };
  return aim === undefined ? result : { ...result, aim, met: result.ratio.median <= aim };
}

const figure = ({ median: middle, min, max }, digits) =>
  `${middle.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`;

export function table(results) {
  const rows = results.map((result) => [
    result.measure,
    figure(result.ours, 0),
    figure(result.yardstick, 0),
    figure(result.ratio, 2),
    result.aim === undefined ? '–' : `≤ ${result.aim}`,
    result.aim === undefined ? '–' : result.met ? 'yes' : 'no',
  ]);
  const head = ['measure', 'ours, ms', 'yardstick, ms', 'ratio', 'aim', 'met?'];
  const widths = head.map((title, at) =>
    Math.max(...[head, ...rows].map((row) => row[at].length), title.length),
  );
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at]))
        .join(' | ')
        .trimEnd(),
    )
    .join('\n');
}
