/** Tables of the outcomes of many signals: each outcome once, with its signals. */

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

/** Each outcome with its signals, as `ranges` writes them, in the order of the first one. */
export function bySignals(
  outcomes: ReadonlyMap<number, unknown>,
): readonly (readonly [signals: string, outcome: unknown])[] {
  const groups = Map.groupBy(
    [...outcomes].toSorted(([a], [b]) => a - b),
    ([, outcome]) => JSON.stringify(outcome),
  );
  return [...groups.values()].map((group) => [ranges(group.map(([signal]) => signal)), group[0]?.[1]]);
}
