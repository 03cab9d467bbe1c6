import { execa } from 'execa';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import {
  ancestorsOf,
  leftBehind,
  machineOfCgroup,
  parseMarks,
  readHostProcesses,
  type HostProcess,
  type Mark,
} from '../../../src/machine/host-processes.ts';
import { endProcesses } from '../../../src/end-processes.ts';
import { readStat } from '../../../src/process-identity.ts';
import { aProcess, MACHINE, OTHER, TAG, TMP_DIR } from '../reaper/made-up.ts';

describe('parseMarks', () => {
  const none = { tags: [], machines: [], tmpDir: undefined, jobId: undefined, isStage: false };
  it.each([
    ['nothing', [], none],
    ['the empty entry behind the last NUL', [''], none],
    ['a tag', [`_CI_JOB_TAG=${TAG}`], { ...none, tags: [TAG] }],
    ['a machine', [`_CI_JOB_MACHINE=${MACHINE}`], { ...none, machines: [MACHINE] }],
    ['a tag without a value', ['_CI_JOB_TAG='], none],
    ['a machine without a value', ['_CI_JOB_MACHINE='], none],
    ['a machine that is not ours', ['_CI_JOB_MACHINE=debian'], none],
    ['a longer name', [`_CI_JOB_TAG2=${TAG}`, `X_CI_JOB_TAG=${TAG}`], none],
    ['a mark within a value', [`COMMENT=_CI_JOB_TAG=${TAG}`], none],
    ['a mark behind a line feed', [`COMMENT=x\n_CI_JOB_TAG=${TAG}`], none],
    ['lower case', [`_ci_job_tag=${TAG}`], none],
    ['a blank before it', [` _CI_JOB_TAG=${TAG}`], none],
    ['an equal sign in the value', ['_CI_JOB_TAG=a=b'], { ...none, tags: ['a=b'] }],
    ['two tags', ['_CI_JOB_TAG=a', '_CI_JOB_TAG=b'], { ...none, tags: ['a', 'b'] }],
    [
      'what a stage has',
      ['BUILD_FAILURE_EXIT_CODE=1', `TMPDIR=${TMP_DIR}`, 'CUSTOM_ENV_CI_JOB_ID=7'],
      { ...none, tmpDir: TMP_DIR, jobId: '7', isStage: true },
    ],
    ['what a stage has, without a value', ['BUILD_FAILURE_EXIT_CODE='], { ...none, isStage: true }],
    [
      'what only a stage’s counts',
      [`TMPDIR=${TMP_DIR}`, 'CUSTOM_ENV_CI_JOB_ID=7', 'BUILD_FAILURE_EXIT_CODE_2=1'],
      none,
    ],
  ])('%s', (_, entries, expected) => {
    expect(parseMarks(entries)).toEqual(expected);
  });
});

describe('machineOfCgroup', () => {
  const ours = `/nspawn.slice/nspawn-runner.slice/${MACHINE}.service`;
  it.each([
    ['the unit', `0::${ours}\n`, MACHINE],
    ['below the unit', `0::${ours}/payload/system.slice/x.service\n`, MACHINE],
    ['on a hybrid host', `12:pids:/user.slice\n1:name=systemd:${ours}\n0::/\n`, MACHINE],
    ['in a group with colons', `0::/a:b/nspawn-runner.slice/${MACHINE}.service\n`, MACHINE],
    ['the slice itself', '0::/nspawn.slice/nspawn-runner.slice\n', undefined],
    ['another slice', `0::/machine.slice/${MACHINE}.service\n`, undefined],
    ['a slice of nearly our name', `0::/my-nspawn-runner.slice/${MACHINE}.service\n`, undefined],
    ['a unit of another kind', `0::/nspawn-runner.slice/${MACHINE}.scope\n`, undefined],
    ['a name that is not ours', '0::/nspawn-runner.slice/other.service\n', undefined],
    ['deeper than a unit', `0::/nspawn-runner.slice/x.slice/${MACHINE}.service\n`, undefined],
    ['a group that is gone', '0::/init.scope (deleted)\n', undefined],
    ['nothing', '', undefined],
  ])('%s', (_, text, machine) => {
    expect(machineOfCgroup(text)).toBe(machine);
  });
});

describe('ancestorsOf', () => {
  const all = [
    aProcess(1, { parent: 0 }),
    aProcess(2, { parent: 1 }),
    aProcess(3, { parent: 2 }),
    aProcess(4, { parent: 2 }),
    // Read at different moments, two processes can be each other's parent.
    aProcess(8, { parent: 9 }),
    aProcess(9, { parent: 8 }),
  ];
  it.each([
    [3, [3, 2, 1]],
    [1, [1]],
    [9, [9, 8]],
    [77, [77]],
  ])('of %i', (pid, expected) => {
    expect([...ancestorsOf(pid, all)]).toEqual(expected);
  });
});

describe('leftBehind', () => {
  const SELF = 50;
  const marked = { machines: [MACHINE], tags: [TAG] };
  /** init, a shell, and we in it. */
  const host = [aProcess(1, { parent: 0 }), aProcess(40), aProcess(SELF, { parent: 40 })];
  const pids = (mark: Partial<Mark>, ...others: readonly HostProcess[]): number[] =>
    leftBehind({ machine: MACHINE, ...mark }, [...host, ...others], SELF).map(({ pid }) => pid);

  it.each([
    ['carries the machine’s mark', marked, {}, true],
    ['carries no mark', {}, {}, false],
    ['is another machine’s', { machines: [OTHER] }, {}, false],
    ['is of a machine whose name begins with ours', { machines: [`${MACHINE}1`] }, {}, false],
    ['carries the tag alone, which is asked for', { tags: [TAG] }, { tag: TAG }, true],
    ['carries the tag alone, which is not asked for', { tags: [TAG] }, {}, false],
    ['carries a tag that begins with the job’s', { tags: [`${TAG}1`] }, { tag: TAG }, false],
    ['carries a beginning of the job’s tag', { tags: [TAG.slice(0, -1)] }, { tag: TAG }, false],
    ['carries the tag twice', { tags: [TAG, TAG] }, { tag: TAG }, true],
    ['carries the tag of another machine', { machines: [OTHER], tags: [TAG] }, { tag: TAG }, false],
    ['carries two machines', { machines: [MACHINE, OTHER], tags: [TAG] }, { tag: TAG }, false],
    ['is in a machine', { ...marked, inMachine: MACHINE }, {}, false],
    ['is in another machine', { ...marked, inMachine: OTHER }, {}, false],
    ['is a stage', { ...marked, isStage: true }, {}, false],
    ['was started by us', { ...marked, parent: SELF }, {}, false],
    ['was started by a shell of a person', { ...marked, parent: 40 }, {}, true],
    ['was started by who holds the lock', { ...marked, parent: 40 }, { holder: 40 }, false],
    ['was orphaned, and its holder is gone', marked, { holder: 99 }, true],
  ] satisfies [string, Partial<HostProcess>, Partial<Mark>, boolean][])(
    'a process that %s',
    (_, fields, mark, isLeft) => {
      expect(pids(mark, aProcess(60, fields))).toEqual(isLeft ? [60] : []);
    },
  );

  it('spares what a stage started, however deep, and not what one has left', () => {
    const stage = aProcess(60, { isStage: true });
    expect(
      pids(
        {},
        stage,
        aProcess(61, { ...marked, parent: 60 }),
        aProcess(62, { ...marked, parent: 61 }),
        aProcess(63, marked),
        aProcess(64, { ...marked, parent: 63 }),
      ),
    ).toEqual([63, 64]);
  });

  it('spares what a stage of any job started: who asks may know less than it', () => {
    const stage = aProcess(60, { isStage: true, jobId: '8' });
    expect(pids({}, stage, aProcess(61, { ...marked, parent: 60 }))).toEqual([]);
  });

  it('spares us and all above us, whatever we carry', () => {
    const all = [
      aProcess(1, { parent: 0, ...marked }),
      aProcess(40, marked),
      aProcess(SELF, { parent: 40, ...marked }),
    ];
    expect(leftBehind({ machine: MACHINE }, all, SELF)).toEqual([]);
  });
});

describe('real processes', () => {
  /** Above the kernel's highest number, proc_sys_kernel(5), pid_max. */
  const NOBODY = 2 ** 22 + 1;
  const run = (program: string, args: readonly string[], env: Record<string, string>) =>
    execa(program, args, { env, reject: false, buffer: false });
  const start = (script: string, env: Record<string, string>) => run('sh', ['-c', script], env);
  const started: ReturnType<typeof start>[] = [];
  afterEach(async () => {
    for (const child of started) child.kill('SIGKILL');
    await Promise.allSettled(started.splice(0));
  });

  async function child(script: string, env: Record<string, string> = {}): Promise<HostProcess> {
    const process = start(`${script}echo ready; exec sleep 60`, env);
    started.push(process);
    await new Promise((resolve) => process.stdout.once('data', resolve));
    const pid = process.pid ?? 0;
    return aProcess(pid, { startTime: readStat(pid)?.startTime ?? '' });
  }
  const waits = { termMs: 300, killMs: 5_000 };
  const isThere = ({ pid }: HostProcess): boolean => readStat(pid)?.isDead === false;

  it('are found with their marks', async () => {
    const { pid, startTime } = await child('', {
      _CI_JOB_MACHINE: MACHINE,
      _CI_JOB_TAG: TAG,
      X_CI_JOB_TAG: 'other',
    });
    const found = readHostProcesses();
    expect(found.find((process) => process.pid === pid)).toMatchObject({
      ...{ parent: process.pid, startTime, machines: [MACHINE], tags: [TAG] },
      ...{ isStage: false, inMachine: undefined },
    });
    expect(found.map((process) => process.pid)).toContain(process.pid);
    // Ours, because we started it; left behind to everybody else.
    const mark = { machine: MACHINE };
    expect(leftBehind(mark, found).map((process) => process.pid)).not.toContain(pid);
    expect(leftBehind(mark, found, NOBODY).map((process) => process.pid)).toContain(pid);
  });

  it.skipIf(process.getuid?.() !== 0)(
    'of VirtualBox may wear what its daemon got from another job, and are nobody’s (needs root: the program must be root’s)',
    async () => {
      const directory = mkdtempSync(join(tmpdir(), 'virtualbox-'));
      const program = join(directory, 'VBoxHeadless');
      copyFileSync('/bin/sleep', program);
      const process = run(program, ['60'], { _CI_JOB_TAG: TAG });
      started.push(process);
      const { pid } = process;
      await expect
        .poll(() => readHostProcesses().find((found) => found.pid === pid))
        .toMatchObject({ tags: [], machines: [] });
      rmSync(directory, { recursive: true });
    },
  );

  it('end by TERM', async () => {
    const victim = await child('');
    const startedAt = performance.now();
    expect(await endProcesses([victim], { termMs: 10_000, killMs: 0 })).toEqual([]);
    expect(performance.now() - startedAt).toBeLessThan(8_000);
    expect(isThere(victim)).toBe(false);
  });

  it('end by KILL where they ignore TERM, and not before', async () => {
    const victims = [await child("trap '' TERM; "), await child('')];
    const startedAt = performance.now();
    expect(await endProcesses(victims, waits)).toEqual([]);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(waits.termMs);
    expect(victims.map(isThere)).toEqual([false, false]);
  });

  it('end by KILL where they are stopped', async () => {
    const victim = await child('');
    process.kill(victim.pid, 'SIGSTOP');
    expect(await endProcesses([victim], waits)).toEqual([]);
  });

  it('are left alone where their number is another’s now', async () => {
    const stranger = await child('');
    const startTime = String(Number(stranger.startTime) - 1);
    expect(await endProcesses([{ ...stranger, startTime }], waits)).toEqual([]);
    expect(isThere(stranger)).toBe(true);
  });

  it('may have ended before', async () => {
    const victim = await child('');
    process.kill(victim.pid, 'SIGKILL');
    await started[0];
    expect(await endProcesses([victim], waits)).toEqual([]);
  });

  it('that do not end in time are told', async () => {
    const victim = await child("trap '' TERM; ");
    process.kill(victim.pid, 'SIGSTOP');
    const left = await endProcesses([victim], { termMs: 0, killMs: 0 });
    expect(left.length).toBeLessThanOrEqual(1);
    await started[0];
    expect(isThere(victim)).toBe(false);
  });
});
