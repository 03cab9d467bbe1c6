import { execa } from 'execa';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { BUNDLE, host, leftovers } from './driver.ts';
import { reap } from './reap.ts';

const repository = await mkdtemp(join(tmpdir(), 'exec-keep-'));
afterAll(() => rm(repository, { recursive: true }));

it('exec --keep keeps its machine from the reaper, until a person ends it', async () => {
  await writeFile(
    join(repository, '.gitlab-ci.yml'),
    'job:\n  image: debian-12\n  script: [echo hello]\n',
  );
  await host('git', 'init', '--quiet', repository);
  const { stderr } = await execa(process.execPath, [BUNDLE, 'exec', 'job', '--keep'], {
    cwd: repository,
    stdin: 'ignore',
  });
  const [, machine = ''] = /^Machine "(nsr1-[^"]+)" is kept until /m.exec(stderr) ?? [];
  expect(machine, stderr).not.toBe('');

  const kept = (await reap()).about(machine);
  expect(kept).toMatchObject([{ decision: 'keep', reason: 'a person keeps it' }]);

  await host('machinectl', 'poweroff', machine);
  const directory = `/var/lib/nspawn-runner/jobs/${machine}`;
  expect(await leftovers({ machine, directory })).toEqual([]);
});
