/** All that speaks for the life or death of one job, as the host showed it at one moment. */
import type { MachineRecord, RecordState } from '../machine/record.ts';

export interface JobEvidence {
  readonly machine: string;
  /** systemd's ActiveState; `absent` for a unit that is not loaded. */
  readonly unit: string;
  /** Its control group is there, and has processes. */
  readonly hasGroup: boolean;
  readonly hasProcesses: boolean;
  /** The state directory that its unit was started for, where that is not ours. */
  readonly elsewhere: string | undefined;
  readonly hasDirectory: boolean;
  readonly record: RecordState;
  readonly hasClaim: boolean;
  /** The record or, where systemd has taken it, the claim; undefined when neither can be believed. */
  readonly known: MachineRecord | undefined;
  readonly lock: 'none' | 'free' | 'held';
  /** Who wrote himself into the lock's file. */
  readonly holder: number | undefined;
  /** Stages of the job that run on the host. */
  readonly stages: readonly number[];
  readonly creator: Life;
  /** Since its prepare stage began; undefined when that was in another boot, or is not known. */
  readonly ageSec?: number | undefined;
  readonly runner: Life;
  /** Its Runner lives and has removed the attempt's directory, which it does last of all. */
  readonly isEnded: boolean;
  /** Processes on the host that carry its mark and that nobody alive started. */
  readonly stragglers: readonly number[];
  /** Paths below /run that a killed systemd-nspawn leaves. */
  readonly remains: readonly string[];
  readonly links: readonly string[];
  readonly virtualMachines: readonly string[];
  /** GitLab's own word, where it was asked. */
  readonly gitlab: 'runs' | 'over' | 'unknown';
}

/** Of one process, known by its number, start time and boot. */
export type Life = 'lives' | 'gone' | 'unknown';
