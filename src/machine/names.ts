/**
 * Every name that a job has on the host comes from here, and parses back for whoever finds one.
 *
 * INVARIANT: total and injective in (GitLab instance, job id). Job ids are unique within an
 * instance, so two runners of one instance never meet in one name. The digit is the format's
 * version: another format of record, job directory or unit takes another digit.
 */
import { createHash } from 'node:crypto';
import { UsageError } from '../errors.ts';

const FORMAT = 1;
const ORIGIN_LENGTH = 8;
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';
const NAME = /^nsr1-([a-z2-7]{8})-(0|[1-9]\d{0,18})$/;

export const SLICE = 'nspawn-runner.slice';

export interface MachineIdentity {
  /** GitLab instance: host, port and relative root; empty where the job has no repository URL. */
  readonly origin: string;
  /** Decimal job id, up to 19 digits. */
  readonly id: string;
}

/** The machine, its host name and, with `.service`, its unit: at most 33 of the 64 characters. */
export function machineName({ origin, id }: MachineIdentity): string {
  const name = `nsr${FORMAT}-${originHash(origin)}-${id}`;
  if (parseMachineName(name) === undefined) {
    throw new UsageError(`"${id}" is not a job id.`, {
      details: ['A job id is a decimal number of at most 19 digits.'],
    });
  }
  return name;
}

/** What a name says of its job; undefined for a name that is not ours. */
export function parseMachineName(
  name: string,
): { readonly format: number; readonly originHash: string; readonly jobId: string } | undefined {
  const [, hash, jobId] = NAME.exec(name) ?? [];
  return hash === undefined || jobId === undefined
    ? undefined
    : { format: FORMAT, originHash: hash, jobId };
}

export function unitName(machine: string): string {
  return `${machine}.service`;
}

/** 40 bits in systemd's machine name alphabet. */
export function originHash(origin: string): string {
  const digest = createHash('sha256').update(origin.toLowerCase()).digest();
  const bits = digest.readBigUInt64BE() >> 24n;
  let text = '';
  for (let shift = (ORIGIN_LENGTH - 1) * 5; shift >= 0; shift -= 5) {
    text += BASE32[Number((bits >> BigInt(shift)) & 31n)] ?? '';
  }
  return text;
}
