/** One chroot that is broken, built by somebody, or has a torn file must not hide the others. */
import { execa } from 'execa';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { BUNDLE, host } from './driver.ts';
import { SmallChroots, type Ended } from './small-chroots.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 300_000 });

const [BROKEN, BUSY, TORN, WELL] = ['a-broken', 'b-busy', 'c-torn', 'd-well'] as const;
const NAMES = [BROKEN, BUSY, TORN, WELL];
const OLD = '20200101T000000Z-000000';

interface Row {
  readonly name: string;
  readonly faults: readonly string[];
  readonly bootSec?: number;
}

let chroots: SmallChroots;

beforeAll(async () => {
  chroots = await SmallChroots.create();
  for (const name of NAMES) await chroots.writeRecipe(name);
  await chroots.succeed('create', ...NAMES);
});
afterAll(async () => {
  expect(await chroots.left()).toEqual([]);
  await chroots.dispose();
});

const dirOf = (name: string): string => join(chroots.stateDir, 'chroots', name);
const besideTree = async (name: string, file: string): Promise<string> =>
  join(dirname((await chroots.current(name)).path), file);

/** As a host that lost power may have it. */
async function tear(name: string, file: string): Promise<() => Promise<void>> {
  const path = await besideTree(name, file);
  const text = await readFile(path, 'utf8');
  await writeFile(path, '');
  return () => writeFile(path, text);
}

async function verify(...args: readonly string[]): Promise<Ended & { readonly rows: Row[] }> {
  const ended = await chroots.run('verify', ...args, '--json');
  return { ...ended, rows: JSON.parse(ended.stdout) as Row[] };
}

describe('verify --all', () => {
  it('goes on after one that does not boot, one that is being built, and one with a torn record', async () => {
    const { path } = await chroots.current(BROKEN);
    await rm(join(path, 'usr/lib/systemd/systemd'));
    const mend = await tear(TORN, 'version.json');
    const argv = ['--no-fork', join(dirOf(BUSY), 'build.lock'), 'sleep', '1000'];
    const builder = execa('flock', argv, { reject: false });
    const { exitCode, stderr, rows } = await verify('--all').finally(async () => {
      builder.kill();
      await builder;
    });
    expect(
      rows.map(({ name }) => name),
      stderr,
    ).toEqual(NAMES);
    const [broken, busy, torn, well] = rows;
    expect(broken?.faults.join('\n')).toMatch(/^Machine "nsr1-/m);
    expect(busy?.faults[0]).toBe(`Chroot "${BUSY}" is being built already.`);
    expect(torn?.faults[0]).toBe(
      `"${await besideTree(TORN, 'version.json')}" cannot be understood.`,
    );
    expect(torn?.bootSec).toBeGreaterThan(0);
    expect(well?.faults).toEqual([]);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(
      /^Jobs cannot use 1 of 4: a-broken\. Not verified: 2 of 4: b-busy, c-torn\.$/m,
    );
    expect(stderr).toMatch(/^a-broken: version \S+ is not good$/m);
    expect(stderr).toMatch(/^d-well: version \S+ is good, ready after /m);
    await mend();
  });

  it('names a torn machine.json, and what to do', async () => {
    const mend = await tear(TORN, 'machine.json');
    const { exitCode, rows } = await verify(TORN);
    expect(exitCode).toBe(1);
    expect(rows[0]?.faults[0]).toBe(
      `"${await besideTree(TORN, 'machine.json')}" cannot be understood.`,
    );
    expect(rows[0]?.faults.at(-1)).toContain('nspawn-runner chroot create NAME');
    await mend();
  });
});

describe('create --json', () => {
  it('lists what was made, also when another fails', async () => {
    await chroots.writeRecipe('z-bad', '  - exit 3');
    const { exitCode, stdout, stderr } = await chroots.run('create', WELL, 'z-bad', '--json');
    expect(JSON.parse(stdout), stderr).toMatchObject([{ name: WELL, did: 'built' }]);
    expect([exitCode, stderr]).toEqual([
      1,
      expect.stringContaining('1 of 2 chroots was not made: z-bad.'),
    ]);
  });
});

describe('a torn record', () => {
  let mend: () => Promise<void>;
  beforeAll(async () => {
    mend = await tear(TORN, 'version.json');
    await mkdir(join(dirOf(TORN), 'versions', OLD, 'tree'), { recursive: true });
  });
  afterAll(() => mend());

  it('is told by list and show, which show the rest', async () => {
    const fault = `"${await besideTree(TORN, 'version.json')}" cannot be understood.`;
    const list = await chroots.succeed('list');
    expect(list.stdout).toMatch(/^c-torn .* \? +2 +0$/m);
    expect(list.stdout).toMatch(/^d-well .* MiB +1 +0$/m);
    expect(list.stderr).toContain(`c-torn: ${fault}`);
    const rows = JSON.parse((await chroots.succeed('list', '--json')).stdout) as Row[];
    expect(rows.filter(({ name }) => name === TORN)).toMatchObject([{ bytes: null }]);
    expect(rows.map(({ name }) => name)).toEqual(expect.arrayContaining(NAMES));
    const show = await chroots.succeed('show', TORN, '--json');
    const { version } = await chroots.current(TORN);
    expect(JSON.parse(show.stdout)).toMatchObject({
      versions: [
        { version, isCurrent: true, fault: expect.stringContaining(fault) as string },
        { version: OLD },
      ],
    });
  });

  it('lets the reaper keep its old versions, say so, and take those of others', async () => {
    await mkdir(join(dirOf(WELL), 'versions', OLD, 'tree'), { recursive: true });
    const argv = [BUNDLE, 'reap', `--settings=${chroots.settingsFile}`, '--json'];
    const { stdout, exitCode } = await execa(process.execPath, argv, { reject: false });
    const { items } = JSON.parse(stdout) as { items: { kind: string; proof: string[] }[] };
    expect(items.filter(({ kind }) => kind === 'chroot-version')).toMatchObject([
      {
        name: `${TORN}/${OLD}`,
        result: 'kept',
        reason: 'the record of the current version cannot be read',
        proof: [`"${await besideTree(TORN, 'version.json')}" cannot be understood`],
      },
      { name: `${WELL}/${OLD}`, result: 'removed' },
    ]);
    expect(exitCode).toBe(0);
    expect(await chroots.versions(TORN)).toContain(OLD);
  });

  it('is mended by a new version', async () => {
    const { stderr } = await chroots.succeed('update', '--rebuild', TORN);
    expect(stderr).toMatch(/^c-torn: removed 2 old versions that no job uses$/m);
    await host('rm', '--recursive', '--one-file-system', '--', dirOf(BROKEN));
    mend = () => Promise.resolve();
    const { stderr: said } = await chroots.succeed('list');
    expect(said).toBe('');
  });
});
