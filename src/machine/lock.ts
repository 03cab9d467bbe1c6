/**
 * Prepare, cleanup and reap of one machine exclude each other. The lock is the kernel's, on an open
 * file that every program they start holds too: a lock that is free proves that no stage changes
 * the machine any more, and no straggler of a stage that was killed.
 */
import { closeSync, lstatSync, mkdirSync, openSync, readSync, unlinkSync } from 'node:fs';
import { constants, open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { entriesOf } from './directory-entries.ts';
import { HostError, Stopped } from '../errors.ts';
import { lendToChildren } from '../tools/exec.ts';
import { tryLock } from '../tools/flock.ts';

/** In memory: no lock outlives a boot. */
const LOCKS = '/run/nspawn-runner/locks';
/** A FIFO in its place would hold an open(2) that waits. */
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const MAX_PID_BYTES = 32;
/** Between two looks at who waits, and whether he still wants to. */
const SLICE_SEC = 1;

export interface LockOptions {
  /** How long to wait for who has it, in seconds. */
  readonly waitSec: number;
  /** Called once when someone has it, before the wait: to end those who have no right to it. */
  readonly onBusy?: () => Promise<void>;
  /** Ends the wait. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs `work` with the lock of a name, a machine's or the reaper's own.
 * @throws HostError when someone else has it; Stopped when `signal` ended the wait.
 */
export async function withLock<T>(
  name: string,
  options: LockOptions,
  work: () => Promise<T>,
): Promise<T> {
  mkdirSync(LOCKS, { recursive: true, mode: 0o700 });
  const path = join(LOCKS, name);
  const file = await lockedFile(name, path, options);
  const takeBack = lendToChildren(file.fd);
  try {
    await file.truncate(0);
    await file.write(`${process.pid}\n`, 0);
    return await work();
  } finally {
    takeBack();
    // Ours, since we hold its lock: who waits for it sees that it has gone, and makes another.
    if (await isStill(path, file)) unlinkSync(path);
    await file.close();
  }
}

async function lockedFile(name: string, path: string, options: LockOptions): Promise<FileHandle> {
  const end = performance.now() + options.waitSec * 1000;
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
  for (let look = 0; ;) {
    const file = await open(path, flags, 0o600);
    const leftSec = Math.min(SLICE_SEC, Math.max(0, (end - performance.now()) / 1000));
    if (await tryLock(file.fd, look === 0 ? 0 : leftSec)) {
      if (await isStill(path, file)) return file;
      await file.close();
      continue;
    }
    await file.close();
    if (options.signal?.aborted === true) throw new Stopped('The wait for the lock was stopped.');
    if (look++ === 0 && options.waitSec > 0) await options.onBusy?.();
    else if (performance.now() >= end) throw busy(name, options.waitSec);
  }
}

/** Whether the locked file is the one that others find; its last holder may have removed it. */
async function isStill(path: string, file: FileHandle): Promise<boolean> {
  const there = lstatSync(path, { throwIfNoEntry: false });
  const ours = await file.stat();
  return there?.ino === ours.ino && there.dev === ours.dev;
}

function busy(name: string, waitSec: number): HostError {
  const holder = lockHolder(name);
  return new HostError(`Another nspawn-runner is at work on "${name}".`, {
    details: [
      `Process ${String(holder ?? 'unknown')}, or what it started, has not ended within ${waitSec} s.`,
    ],
    hint: 'Wait until it has ended, then try again.',
  });
}

/** Names that have a lock's file; it is held, or its holder was killed. */
export function lockNames(): readonly string[] {
  return entriesOf(LOCKS);
}

/** Who wrote himself into the lock's file; he may be gone. */
export function lockHolder(name: string): number | undefined {
  try {
    const file = openSync(join(LOCKS, name), READ);
    try {
      const text = Buffer.alloc(MAX_PID_BYTES);
      const pid = Number(text.toString('latin1', 0, readSync(file, text)).trim());
      return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
    } finally {
      closeSync(file);
    }
  } catch {
    return undefined;
  }
}

/** Whether anybody has the lock now; changes nothing. */
export async function isLocked(name: string): Promise<boolean> {
  let file: FileHandle;
  try {
    file = await open(join(LOCKS, name), READ);
  } catch {
    return false;
  }
  try {
    return !(await tryLock(file.fd, 0));
  } finally {
    await file.close();
  }
}
