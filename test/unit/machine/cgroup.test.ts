import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { isPopulated, signalCgroup } from '../../../src/machine/cgroup.ts';

let group = '';
beforeEach(() => {
  group = mkdtempSync(join(tmpdir(), 'cgroup-test-'));
  mkdirSync(join(group, 'payload/system.slice'), { recursive: true });
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(group, { recursive: true });
});

describe('signalCgroup', () => {
  it('reaches every process in the group and below, and never a group of ours', () => {
    const signalled: [number, unknown][] = [];
    vi.spyOn(process, 'kill').mockImplementation((pid, signal) => {
      signalled.push([pid, signal]);
      return true;
    });
    // As a PID namespace sees it that some of the processes are not in.
    writeFileSync(join(group, 'cgroup.procs'), '11\n0\n');
    writeFileSync(join(group, 'payload/cgroup.procs'), '');
    writeFileSync(join(group, 'payload/system.slice/cgroup.procs'), '0\n12\n13\n');
    signalCgroup(group, 'SIGTERM');
    expect(signalled).toEqual([11, 12, 13].map((pid) => [pid, 'SIGTERM']));
  });
});

describe('isPopulated', () => {
  it.each([
    ['populated 1\nfrozen 0\n', true],
    ['populated 0\nfrozen 1\n', false],
    ['unpopulated 1\n', false],
    ['', false],
  ])('by %j: %j', (text, is) => {
    writeFileSync(join(group, 'cgroup.events'), text);
    expect(isPopulated(group)).toBe(is);
  });

  it('is not a group that is gone', () => {
    expect(isPopulated(join(group, 'gone'))).toBe(false);
  });
});
