import {
  appendFile,
  mkdtemp,
  readFile,
  readdir,
  readlink,
  rm,
  stat,
  symlink,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, it } from 'vitest';

const scripts = fileURLToPath(new URL('../../scripts/', import.meta.url));
let destdir = '';
let prefix = '';
const script = (name: 'install' | 'uninstall', ...args: string[]) =>
  execa(join(scripts, name), args, { env: { DESTDIR: destdir, PREFIX: prefix, NODE: '' } });
const path = (name: string): string => join(destdir, name);
const settings = 'etc/nspawn-runner/settings.yaml';

async function files(): Promise<string[]> {
  const entries = await readdir(destdir, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(destdir.length + 1))
    .sort();
}

beforeAll(async () => {
  destdir = await mkdtemp(join(tmpdir(), 'nspawn-runner-install-'));
});
afterAll(() => rm(destdir, { recursive: true, force: true }));

it('installs a program that runs, and ends with one line', async () => {
  const { stdout } = await script('install');
  expect(stdout.split('\n').at(-1)).toMatch(
    /^nspawn-runner \d+\.\d+\.\d+ is installed in .*\/usr\/local\. Next: nspawn-runner check$/,
  );
  const program = path('usr/local/bin/nspawn-runner');
  const toml = await execa(program, ['toml', '--name=a']);
  expect(toml.stdout).toContain(`config_exec = "${program}"\n    config_args = ["config", `);
  expect(await files()).toEqual(
    expect.arrayContaining([
      settings,
      'etc/systemd/system/gitlab-runner.service.d/nspawn-runner.conf',
      'usr/local/lib/nspawn-runner/boot.sh',
      'usr/local/lib/nspawn-runner/frame.sh',
      'usr/local/lib/systemd/system/nspawn-runner-reap.service',
      'usr/local/lib/systemd/system/nspawn-runner-reap.timer',
      'usr/local/lib/systemd/system/nspawn-runner.slice',
      'usr/local/lib/sysctl.d/60-nspawn-runner.conf',
      'usr/local/lib/tmpfiles.d/nspawn-runner.conf',
      'usr/local/share/nspawn-runner/recipes/debian-12.yaml',
      'usr/local/share/nspawn-runner/settings.schema.json',
    ]),
  );
  expect((await stat(path('etc/nspawn-runner/recipes'))).isDirectory()).toBe(true);
});

it('makes a package without a timer that runs, and says how it gets to run', async () => {
  const { stdout } = await script('install');
  expect(stdout).toMatch(
    /^Not done here: "systemctl enable --now nspawn-runner-reap\.timer nspawn-runner-chroots\.timer", which /m,
  );
  expect((await files()).filter((name) => name.includes('.wants/'))).toEqual([]);
});

it('installs every file that a page links to', async () => {
  const pages = (await files()).filter((name) => name.endsWith('.md'));
  expect(pages).toContain('usr/local/share/doc/nspawn-runner/docs/recipes.md');
  for (const page of pages) {
    const links = (await readFile(path(page), 'utf8')).matchAll(/\]\(([^)#\s:]+)(?:#[^)]*)?\)/g);
    for (const [, link = ''] of links) {
      await expect(stat(join(path(page), '..', link)), `${page}: ${link}`).resolves.toBeDefined();
    }
  }
});

it('changes nothing when it runs again', async () => {
  const before = await files();
  await script('install');
  expect(await files()).toEqual(before);
});

it('keeps settings that were changed', async () => {
  await appendFile(path(settings), 'shell: sh\n');
  await script('install');
  expect(await readFile(path(settings), 'utf8')).toMatch(/shell: sh\n$/);
  expect(await files()).not.toContain(`${settings}.new`);
});

it('puts back a program file that was damaged, and not a drop-in that was removed', async () => {
  const dropIn = 'etc/systemd/system/gitlab-runner.service.d/nspawn-runner.conf';
  await rm(path(dropIn));
  await rm(path('usr/local/lib/nspawn-runner/boot.sh'));
  const { stdout } = await script('install');
  expect(stdout).toContain(`Left out: /${dropIn}, which was removed here.`);
  expect(await files()).not.toContain(dropIn);
  expect(await files()).toContain('usr/local/lib/nspawn-runner/boot.sh');
});

it('is removed but for what was changed, and then for all', async () => {
  await appendFile(path('etc/nspawn-runner/recipes/mine.yaml'), 'description: mine\n');
  const { stdout } = await script('uninstall');
  expect(stdout).toContain(`Kept, because it is yours: /${settings} /etc/nspawn-runner`);
  expect(await files()).toEqual(['etc/nspawn-runner/recipes/mine.yaml', settings]);
  await script('install');
  await script('uninstall', '--purge');
  expect(await files()).toEqual([]);
});

it('fits the units to another prefix, and leaves one that is masked there', async () => {
  prefix = '/opt/runner';
  const unit = (name: string): string => path(`etc/systemd/system/nspawn-runner-reap.${name}`);
  await script('install');
  expect(await readFile(unit('service'), 'utf8')).toMatch(
    /^ExecStart=\/opt\/runner\/bin\/nspawn-runner reap$/m,
  );
  await rm(unit('timer'));
  await symlink('/dev/null', unit('timer'));
  await script('install');
  expect(await readlink(unit('timer'))).toBe('/dev/null');
  await script('uninstall', '--purge');
  expect(await files()).toEqual(['etc/systemd/system/nspawn-runner-reap.timer']);
});
