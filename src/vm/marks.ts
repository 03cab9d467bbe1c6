/** The marks of a job, see docs/virtual-machines.md: whole entries of an environment, or whole lines of a text. */
import { MACHINE_MARK, TAG } from '../marks.ts';

export interface Marks {
  readonly tags: readonly string[];
  readonly machines: readonly string[];
}

export function marksOf(entries: readonly string[]): Marks {
  const values = (mark: string): string[] => [
    ...new Set(
      entries
        .filter((entry) => entry.startsWith(mark))
        .map((entry) => entry.slice(mark.length))
        .filter((value) => value !== ''),
    ),
  ];
  return { tags: values(`${TAG}=`), machines: values(`${MACHINE_MARK}=`) };
}

/** Marks in a description: each is a line of its own. */
export function marksInText(text: string): Marks {
  return marksOf(text.split(/\r?\n/).map((line) => line.trim()));
}

export function joinMarks(...all: readonly Marks[]): Marks {
  return {
    tags: [...new Set(all.flatMap(({ tags }) => tags))],
    machines: [...new Set(all.flatMap(({ machines }) => machines))],
  };
}
