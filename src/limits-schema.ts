/** What a job may use: one map in the settings, for all jobs, and in a recipe, for its chroot's. */
import * as z from 'zod/mini';
import { parsed, wholeNumber, type Form } from './schema-kinds.ts';
import { parsePercent, parseSize } from './sizes.ts';

export interface Amount {
  readonly bytes?: number;
  readonly percent?: number;
}

function amount(value: string | number): Amount | undefined {
  const percent = typeof value === 'string' ? parsePercent(value) : undefined;
  if (percent !== undefined) return percent > 0 && percent <= 100 ? { percent } : undefined;
  const bytes = parseSize(value);
  return bytes !== undefined && bytes > 0 ? { bytes } : undefined;
}

function cpuQuota(value: string | number): number | undefined {
  const percent = typeof value === 'string' ? parsePercent(value) : undefined;
  return percent !== undefined && percent > 0 ? percent : undefined;
}

/** A size, or a part of what the host has. */
export const AMOUNT: Form<Amount> = {
  expected: 'a size such as 4G or a percentage such as 40%',
  pattern: /^\d+(?:\.\d+)?[KMGT%]?$/,
  parse: amount,
};

export const LimitsMap = z.strictObject(
  {
    memory_max: parsed(AMOUNT, {
      description:
        "Memory that a job may use: a size, or a percentage of the host's. No limit unless set.",
    }),
    memory_high: parsed(AMOUNT, {
      description:
        'Memory above which a job is slowed down and its memory taken back. No limit unless set.',
    }),
    cpu_weight: wholeNumber('a whole number from 1 to 10000', 1, 10_000, {
      description: 'Share of the CPU when jobs compete, systemd.resource-control(5).',
    }),
    cpu_quota: parsed(
      { expected: 'a percentage such as 200%', pattern: /^\d+(?:\.\d+)?%$/, parse: cpuQuota },
      { description: 'CPU time that a job may use; 200% is two CPUs. No limit unless set.' },
    ),
    tasks_max: wholeNumber('a whole number from 64 to 4194304', 64, 4_194_304, {
      description: 'Processes and threads that a job may have.',
      default: 16_384,
    }),
  },
  { error: 'a map of limits' },
);

export type LimitsMap = z.output<typeof LimitsMap>;
