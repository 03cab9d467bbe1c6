/** Tasks that wait for others, side by side where they can be. */

export interface Task<T> {
  readonly name: string;
  /** Names of tasks that must have succeeded before; those that are not here count as done. */
  readonly after: readonly string[];
  readonly run: () => Promise<T>;
}

export type TaskEnd<T> =
  | { readonly name: string; readonly result: T }
  | { readonly name: string; readonly error: unknown }
  /** Not run, because `failed` did not succeed. */
  | { readonly name: string; readonly failed: string };

/**
 * Runs all of them, at most `width` at a time. What fails stops what waits for it and nothing else.
 * @param tasks without circles.
 */
export async function runTasks<T>(
  tasks: readonly Task<T>[],
  width: number,
): Promise<readonly TaskEnd<T>[]> {
  const waiting = new Set(tasks);
  const ends = new Map<string, TaskEnd<T>>();
  const running = new Set<Promise<void>>();
  const known = new Set(tasks.map(({ name }) => name));
  const isDone = (name: string): boolean => !known.has(name) || ends.has(name);
  const begin = (task: Task<T>): void => {
    waiting.delete(task);
    const failed = task.after.find((name) => known.has(name) && !succeeded(ends.get(name)));
    if (failed !== undefined) {
      ends.set(task.name, { name: task.name, failed });
      return;
    }
    const run = endOf(task).then((end) => {
      ends.set(task.name, end);
      running.delete(run);
    });
    running.add(run);
  };
  while (waiting.size > 0 || running.size > 0) {
    const ready = [...waiting].find((task) => task.after.every(isDone));
    if (ready !== undefined && running.size < width) begin(ready);
    else if (running.size > 0) await Promise.race(running);
    else throw new Error(`Tasks wait for each other: ${[...known].join(', ')}.`);
  }
  return tasks.flatMap(({ name }) => ends.get(name) ?? []);
}

async function endOf<T>({ name, run }: Task<T>): Promise<TaskEnd<T>> {
  try {
    return { name, result: await run() };
  } catch (error) {
    return { name, error };
  }
}

function succeeded<T>(end: TaskEnd<T> | undefined): boolean {
  return end !== undefined && 'result' in end;
}
