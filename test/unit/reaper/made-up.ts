/** Records, processes and evidence that no host has; each test says what is special in its own. */
import type { HostProcess } from '../../../src/machine/host-processes.ts';
import type { MachineRecord } from '../../../src/machine/record.ts';
import type { JobEvidence } from '../../../src/reaper/job-evidence.ts';

export const MACHINE = 'nsr1-aaaaaaaa-7';
export const OTHER = 'nsr1-bbbbbbbb-7';
export const TAG = 'runner-1-project-2-concurrent-0-7';
export const TMP_DIR = '/tmp/custom-executor7';
export const BOOT = '6f8a3a1e-0000-4000-8000-000000000001';

export function aRecord(fields: Partial<MachineRecord> = {}): MachineRecord {
  return {
    format: 1,
    machine: MACHINE,
    attempt: 'a1',
    jobId: '7',
    projectId: '2',
    origin: 'gitlab.example.com',
    tag: TAG,
    createdAt: '2026-01-01T00:00:00.000Z',
    deadline: '2026-01-01T02:00:00.000Z',
    creator: { pid: 11, startTime: '1100', bootId: BOOT },
    runnerProcess: { pid: 12, startTime: '1200', bootId: BOOT },
    tmpDir: TMP_DIR,
    chroot: 'debian-12',
    chrootVersion: '1',
    shell: '/bin/bash',
    user: 'root',
    stopTimeoutSec: 3,
    scriptStopTimeoutSec: 10,
    ...fields,
  };
}

/** A job whose script runs, between two stages, under a Runner that lives. */
export function evidenceOf(fields: Partial<JobEvidence> = {}): JobEvidence {
  const record = aRecord();
  return {
    machine: MACHINE,
    unit: 'active',
    hasGroup: true,
    hasProcesses: true,
    elsewhere: undefined,
    hasDirectory: true,
    record: { state: 'usable', record },
    hasClaim: false,
    known: record,
    lock: 'none',
    holder: undefined,
    stages: [],
    creator: 'gone',
    runner: 'lives',
    isEnded: false,
    stragglers: [],
    remains: [],
    links: [],
    virtualMachines: [],
    gitlab: 'unknown',
    ...fields,
  };
}

/** A process of the host that has nothing to do with any job; its parent is init. */
export function aProcess(pid: number, fields: Partial<HostProcess> = {}): HostProcess {
  return {
    pid,
    parent: 1,
    startTime: String(pid * 100),
    tags: [],
    machines: [],
    tmpDir: undefined,
    jobId: undefined,
    isStage: false,
    inMachine: undefined,
    ...fields,
  };
}
