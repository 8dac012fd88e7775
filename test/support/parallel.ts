/** Runs tasks with limited concurrency. */

/** Calls `task` for all items, `most` at a time. */
export async function forAll<T>(items: readonly T[], most: number, task: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  const worker = async () => {
    for (const item of rest) await task(item);
  };
  await Promise.all(Array.from({ length: most }, worker));
}
