/**
 * Ten thousand cases of what a host may show and a hostile or torn file may say: nothing crashes,
 * and nothing of a job that lives is chosen. The oracles are written anew here and share nothing
 * with the code but the names of machines.
 */
import { describe, expect, it } from 'vitest';
import { HostError } from '../../../src/errors.ts';
import {
  leftBehind,
  machineOfCgroup,
  parseMarks,
  type HostProcess,
  type Mark,
} from '../../../src/machine/host-processes.ts';
import { machineOfLink } from '../../../src/machine/links.ts';
import { machineName, parseMachineName } from '../../../src/machine/names.ts';
import { parseStat } from '../../../src/process-identity.ts';
import { parseRecord, type MachineRecord } from '../../../src/machine/record.ts';
import { parseMark } from '../../../src/machine/temp-dir.ts';
import { questionIn, wordOf } from '../../../src/reaper/gitlab-word.ts';
import type { JobEvidence } from '../../../src/reaper/job-evidence.ts';
import { judgeJob } from '../../../src/reaper/judge-job.ts';
import { isSameAttempt } from '../../../src/reaper/reap-job.ts';
import { parseLinks } from '../../../src/tools/ip.ts';
import { parseUnits } from '../../../src/tools/systemctl.ts';
import { fuzz } from '../fuzz.ts';
import { aProcess, aRecord, BOOT, evidenceOf, MACHINE, OTHER, TAG, TMP_DIR } from './made-up.ts';

const { below, pick, text } = fuzz('reaper');
const coin = (): boolean => below(2) === 0;

const ODD = '\0\n\r\t "\'\\/{}[]:,.=-_%$0123456789abcNSRns1é\ud800\u202e😀)(';

/** The text with a few of its characters lost, doubled, replaced or added. */
function mutated(whole: string): string {
  let part = whole;
  for (let times = 1 + below(3); times > 0; times--) {
    const from = below(part.length + 1);
    const to = Math.min(part.length, from + below(6));
    part = pick([
      () => part.slice(0, from),
      () => part.slice(0, from) + part.slice(to),
      () => part.slice(0, to) + part.slice(from),
      () => part.slice(0, from) + text(1 + below(3), ODD) + part.slice(to),
      () => part.slice(from),
    ])();
  }
  return part;
}

/** Nine in ten are near what is right, one is noise. */
const near = (whole: string): string =>
  below(10) === 0 ? text(below(60), ODD) : below(4) === 0 ? whole : mutated(whole);

const VALUES = [undefined, null, true, 0, -1, 1.5, 2 ** 60, '', '0', 'x', '../x', [], ['x'], {}];

/** The object with one of its fields made something else, or gone. */
function misled(fields: object): object {
  const name = pick(Object.keys(fields));
  return { ...fields, [name]: pick(VALUES) };
}

function times(count: number, what: string, once: () => unknown): void {
  it(`${count} × ${what}`, () => {
    for (let n = 0; n < count; n++) once();
  });
}

/** Runs it; undefined when it threw what it may. */
function allowed<T>(
  errors: readonly (abstract new (...args: never[]) => Error)[],
  what: string,
  work: () => T,
): T | undefined {
  try {
    return work();
  } catch (error) {
    if (errors.some((each) => error instanceof each)) return undefined;
    throw new Error(`Of ${JSON.stringify(what)}`, { cause: error });
  }
}

const REFUSED = { message: '401 Unauthorized' };

describe('texts', () => {
  times(1500, 'records', () => {
    const fields = below(3) === 0 ? misled(aRecord()) : aRecord();
    const json = JSON.stringify(fields);
    const source = coin() ? json : near(json);
    const record = allowed([HostError], source, () => parseRecord(source, '/r'));
    if (record === undefined) return;
    // What is believed can be judged, and says when it ends.
    expect(Date.parse(record.deadline), source).not.toBeNaN();
    const state = { state: 'usable', record } as const;
    const stage = evidenceOf({ record: state, known: record, stages: [1] });
    expect(judgeJob(stage, Date.parse('2026-01-01T01:00:00Z')).decision).toBe('keep');
  });

  times(600, 'marks of temporary directories', () => {
    const fields = { format: 1, origin: 'gitlab.example.com', jobId: '7', runnerProcess: {} };
    const source = coin() ? JSON.stringify(misled(fields)) : near(JSON.stringify(fields));
    const mark = allowed([], source, () => parseMark(source));
    if (mark !== undefined) expect(parseMachineName(mark.machine), source).toBeDefined();
  });

  times(900, 'environments', () => {
    const names = ['_CI_JOB_TAG', '_CI_JOB_MACHINE', 'BUILD_FAILURE_EXIT_CODE', 'TMPDIR', 'PATH'];
    const values = [TAG, MACHINE, OTHER, TMP_DIR, '', '1'];
    const entries = Array.from({ length: below(6) }, () => near(`${pick(names)}=${pick(values)}`));
    // As the kernel shows it: a NUL in a value is the end of an entry.
    const environ = entries.join('\0').split('\0');
    const marks = parseMarks(environ);
    const has = (name: string, value: string): boolean => environ.includes(`${name}=${value}`);
    expect(marks.tags.every((tag) => tag !== '' && has('_CI_JOB_TAG', tag))).toBe(true);
    expect(
      marks.machines.every((name) => has('_CI_JOB_MACHINE', name) && /^nsr1-/.test(name)),
    ).toBe(true);
    expect(has('_CI_JOB_MACHINE', MACHINE)).toBe(marks.machines.includes(MACHINE));
    expect(has('_CI_JOB_TAG', TAG)).toBe(marks.tags.includes(TAG));
    expect(marks.isStage).toBe(environ.some((e) => /^BUILD_FAILURE_EXIT_CODE=/.test(e)));
    if (!marks.isStage) expect(marks.tmpDir).toBeUndefined();
  });

  times(800, 'control groups', () => {
    const unit = pick([MACHINE, OTHER, 'x']);
    const source = near(`0::/nspawn.slice/nspawn-runner.slice/${unit}.service/payload\n`);
    const machine = machineOfCgroup(source);
    if (machine === undefined) return;
    expect(parseMachineName(machine), source).toBeDefined();
    expect(source).toContain(`/nspawn-runner.slice/${machine}.service`);
  });

  times(800, 'names of processes', () => {
    const state = pick(['R', 'S', 'D', 'T', 'Z', 'X']);
    const rest = `${state} 12 1 1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 8812345 256 20 1`;
    const source = `4711 (${text(below(16), ODD)}) ${rest}\n`;
    const isDead = state === 'Z' || state === 'X';
    expect(parseStat(source), source).toEqual({ parent: 12, startTime: '8812345', isDead });
    const odd = parseStat(mutated(source));
    if (odd !== undefined) expect(odd.startTime).toMatch(/^\d+$/);
  });

  times(600, 'lists of units', () => {
    const unit = { unit: `${MACHINE}.service`, load: 'loaded', active: 'active', sub: 'running' };
    const source = coin() ? JSON.stringify([misled(unit), null]) : near(JSON.stringify([unit]));
    const units = allowed([HostError], source, () => parseUnits(source)) ?? [];
    for (const { unit: name, active } of units) {
      expect([typeof name, typeof active], source).toEqual(['string', 'string']);
    }
  });

  times(600, 'lists of links', () => {
    const link = { ifname: 've-nsr1-aaaiHK', altnames: [`ve-${MACHINE}`], mtu: 1500 };
    const source = coin() ? JSON.stringify([misled(link), {}]) : near(JSON.stringify([link]));
    for (const found of allowed([HostError], source, () => parseLinks(source)) ?? []) {
      const machine = machineOfLink(found);
      if (machine === undefined) continue;
      const names = [found.name, ...found.alternativeNames];
      expect(parseMachineName(machine), source).toBeDefined();
      expect(names.includes(`ve-${machine}`) || names.includes(`vb-${machine}`), source).toBe(true);
    }
  });

  times(600, 'names of directories', () => {
    const name = near(pick([MACHINE, OTHER, machineName({ origin: '', id: '9'.repeat(19) })]));
    const parsed = parseMachineName(name);
    if (parsed === undefined) return;
    expect(name).toBe(`nsr1-${parsed.originHash}-${parsed.jobId}`);
    expect(name).toMatch(/^[a-z0-9-]{15,33}$/);
  });

  times(600, 'answers of GitLab', () => {
    const response = JSON.stringify({ token: 't', git_info: { repo_url: 'https://a.example/b' } });
    const source = coin() ? JSON.stringify(misled({ token: 't', git_info: {} })) : near(response);
    const question = allowed([SyntaxError, TypeError], source, () => questionIn(source));
    if (question !== undefined) expect(question.scheme).toMatch(/^https?:$/);
    const body = pick([{ id: 7 }, { id: '7' }, { id: 8 }, REFUSED, ...VALUES]);
    const status = pick([200, 204, 301, 400, 401, 403, 404, 500, 503]);
    const word = wordOf(status, '7', body);
    expect(word === 'over').toBe(status === 401 && body === REFUSED);
    if (word === 'runs') expect([status, String((body as { id: unknown }).id)]).toEqual([200, '7']);
  });
});

describe('verdicts', () => {
  const NOW = Date.parse('2026-01-01T01:00:00Z');

  function someRecord(): MachineRecord {
    const end = pick(['2026-01-01T00:30:00Z', '2026-01-01T00:59:30Z', '2026-01-01T02:00:00Z']);
    return aRecord({
      deadline: end,
      attempt: pick(['a1', 'a2']),
      isKept: pick([undefined, false, true]),
      creator: pick([undefined, { pid: 11, startTime: '1', bootId: BOOT }]),
      createdAt: pick(['2026-01-01T00:00:00Z', '2026-01-01T00:55:00Z']),
    });
  }

  function someEvidence(): JobEvidence {
    const record = someRecord();
    const state = pick(['usable', 'usable', 'none', 'unusable', 'newer'] as const);
    const known = state === 'usable' ? record : pick([undefined, record]);
    return evidenceOf({
      unit: pick(['active', 'activating', 'deactivating', 'inactive', 'failed', 'absent']),
      hasGroup: coin(),
      hasProcesses: coin(),
      elsewhere: pick([undefined, undefined, undefined, '/srv/two']),
      record: state === 'usable' ? { state, record } : { state },
      known,
      lock: pick(['none', 'free', 'held']),
      holder: pick([undefined, 5]),
      stages: pick([[], [], [7]]),
      creator: known?.creator === undefined ? 'unknown' : pick(['lives', 'gone']),
      runner: pick(['lives', 'gone', 'unknown']),
      isEnded: below(4) === 0,
      stragglers: pick([[], [8, 9]]),
      gitlab: pick(['unknown', 'unknown', 'runs', 'over']),
    });
  }

  /** Somebody has to do with it now. */
  const isBusy = (job: JobEvidence): boolean =>
    job.stages.length > 0 ||
    job.creator === 'lives' ||
    (job.lock === 'held' && job.stragglers.length === 0) ||
    job.elsewhere !== undefined ||
    job.record.state === 'newer';

  /** Its script may just be between two stages. */
  function mayGoOn(job: JobEvidence): boolean {
    const { known, unit } = job;
    const runs = job.hasProcesses || ['active', 'activating', 'deactivating'].includes(unit);
    if (known === undefined || !runs || job.runner === 'gone' || job.isEnded) return false;
    return job.gitlab !== 'over' && Date.parse(known.deadline) + 60_000 >= NOW;
  }

  times(2000, 'jobs', () => {
    const job = someEvidence();
    const { decision, reason, proof } = judgeJob(job, NOW);
    const told = JSON.stringify({ job, decision, reason, proof });
    if (isBusy(job) || mayGoOn(job)) expect(decision, told).toBe('keep');
    if (decision === 'keep') return;
    expect(proof, told).toContain('no stage runs');
    expect(proof.includes('nobody has its lock'), told).toBe(job.lock !== 'held');
    const { known } = job;
    const isOver = known !== undefined && Date.parse(known.deadline) < NOW;
    const isDown = !job.hasProcesses && ['inactive', 'failed', 'absent'].includes(job.unit);
    const isLeft = job.runner === 'gone' || job.isEnded || job.gitlab === 'over';
    const isKept = known?.isKept === true;
    expect(known === undefined || isOver || isDown || (isLeft && !isKept), told).toBe(true);
  });

  times(400, 'attempts', () => {
    const [judged, now] = [someEvidence().record, someEvidence().record];
    const attempt = (state: typeof now): string =>
      state.state === 'usable' ? state.record.attempt : state.state;
    expect(isSameAttempt(judged, now)).toBe(
      now.state === 'none' || attempt(judged) === attempt(now),
    );
  });
});

describe('processes', () => {
  const NAMES = [MACHINE, OTHER, `${MACHINE}1`, 'nsr1-aaaaaaaa-1'];
  const TAGS = [TAG, `${TAG}1`, TAG.slice(0, -1)];

  /** A host: process 1, and others each below an earlier or, as numbers go round, a later one. */
  function someHost(): HostProcess[] {
    const count = 3 + below(20);
    return Array.from({ length: count }, (_, index) => {
      const isStage = below(8) === 0;
      const some = <T>(of: readonly T[]): T[] =>
        coin() ? [] : below(6) === 0 ? [...of] : [pick(of)];
      return aProcess(index + 1, {
        parent: index === 0 ? 0 : below(10) === 0 ? 1 + below(count) : 1 + below(index),
        machines: some(NAMES),
        tags: some(TAGS),
        isStage,
        tmpDir: isStage ? TMP_DIR : undefined,
        inMachine: below(6) === 0 ? pick(NAMES) : undefined,
      });
    });
  }

  /** Every process from which this one descends, itself included; each once. */
  function line(of: HostProcess, host: readonly HostProcess[]): HostProcess[] {
    const above = [of];
    for (;;) {
      const next = host.find(({ pid }) => pid === above.at(-1)?.parent);
      if (next === undefined || above.includes(next)) return above;
      above.push(next);
    }
  }

  function isVictim(
    process: HostProcess,
    mark: Mark,
    host: readonly HostProcess[],
    self: number,
  ): boolean {
    const own = host.filter(({ pid }) => pid === self).flatMap((us) => line(us, host));
    if (own.includes(process) || process.inMachine !== undefined) return false;
    const masters = line(process, host).filter(
      ({ isStage, pid }) => isStage || pid === self || pid === mark.holder,
    );
    if (masters.length > 0) return false;
    return process.machines.length === 0
      ? mark.tag !== undefined && process.tags.includes(mark.tag)
      : new Set(process.machines).size === 1 && process.machines[0] === mark.machine;
  }

  times(1600, 'hosts', () => {
    const host = someHost();
    const self = 1 + below(host.length + 2);
    const mark: Mark = {
      machine: MACHINE,
      tag: pick([undefined, TAG]),
      holder: pick([undefined, 1 + below(host.length)]),
    };
    const chosen = leftBehind(mark, host, self);
    const told = JSON.stringify({ host, mark, self });
    expect(chosen, told).toEqual(host.filter((process) => isVictim(process, mark, host, self)));
    for (const victim of chosen) {
      expect(victim.isStage || victim.machines.some((name) => name !== MACHINE), told).toBe(false);
    }
  });
});
