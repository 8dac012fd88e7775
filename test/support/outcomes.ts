/** Tables of what became of many signals: few outcomes, each with the signals that it is of. */

/** Numbers in ascending order as text, with ranges: `1-31 34`. */
function ranges(numbers: readonly number[]): string {
  const parts: [first: number, last: number][] = [];
  for (const number of numbers.toSorted((a, b) => a - b)) {
    const last = parts.at(-1);
    if (last?.[1] === number - 1) last[1] = number;
    else parts.push([number, number]);
  }
  return parts.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(" ");
}

/** The signals of each outcome, as `ranges` writes them, in the order of the first of each. */
export function bySignals(
  outcomes: ReadonlyMap<number, unknown>,
): readonly (readonly [signals: string, outcome: unknown])[] {
  const groups = Map.groupBy(
    [...outcomes].toSorted(([a], [b]) => a - b),
    ([, outcome]) => JSON.stringify(outcome),
  );
  return [...groups.values()].map((group) => [ranges(group.map(([signal]) => signal)), group[0]?.[1]]);
}
