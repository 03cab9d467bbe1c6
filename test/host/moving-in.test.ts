/** What users of the Python tool of the same name have: playbooks, trees, and commands in crontabs. */
import { execa } from 'execa';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findChroot, type Chroot } from '../../src/chroot/store.ts';
import { BUNDLE, DriverJob, host, STATE_DIR, waitFor } from './driver.ts';
import { hasVmPackages } from './vm-packages.ts';

/** As somebody wrote it for that tool, with YAML 1.1 and what only Ansible understands. */
const PLAYBOOK = `---
- name: what jobs need
  hosts: all
  vars:
    nspawn_runner_chroot_suite: bookworm
    nspawn_runner_maint_recreate: no
    nspawn_runner_cpu_weight: 77
    nspawn_runner_memory_max: null
    common: &common {owner: root, group: root}
    raw: !unsafe '{{ not a template }}'
  vars_files: [vars/more.yml]
  roles: [greeting]
  tasks:
    - name: a package
      apt: {name: less, state: present, update_cache: yes}
    - name: a user
      user: {name: builder, shell: /bin/bash}
    - name: the raw text
      copy: {content: "{{ raw }}\\n", dest: /etc/raw, <<: *common}
    - name: as somebody else
      command: touch /tmp/by-builder
      become: yes
      become_user: builder
      become_method: su
    - name: what /tmp keeps
      stat: {path: /tmp/by-builder}
      register: by_builder
    - assert: {that: by_builder.stat.pw_name == 'builder'}
    - name: a line for each time
      shell: echo played >>/etc/played
    - name: on the host
      delegate_to: localhost
      copy: {content: "{{ greeting }}\\n", dest: "{{ inventory_hostname }}/etc/from-host"}
- hosts: /var/lib/nspawn-runner/NAME
  tasks:
    - copy: {content: "second\\n", dest: /etc/second-play}
`;

let dir = '';
let stateDir = '';

beforeAll(async () => {
  dir = await mkdtemp('/var/lib/moving-in-');
  await chmod(dir, 0o755);
  stateDir = join(dir, 'state');
  await mkdir(join(stateDir, 'roles/greeting/tasks'), { recursive: true });
  await mkdir(join(stateDir, 'roles/greeting/templates'));
  await mkdir(join(stateDir, 'vars'));
  await mkdir(join(dir, 'recipes'));
  await put('settings.yaml', `state_dir: ${stateDir}\nrecipe_dirs: [${dir}/recipes]\n`);
  await put('state/vars/more.yml', 'greeting: hello\n');
  await put(
    'state/roles/greeting/tasks/main.yml',
    '- template: {src: greeting.j2, dest: /etc/greeting}\n',
  );
  await put(
    'state/roles/greeting/templates/greeting.j2',
    '{{ greeting }} {{ ansible_distribution }}\n',
  );
});
afterAll(async () => {
  await execa('rm', ['--recursive', '--force', '--one-file-system', '--', dir]);
});

async function put(path: string, text: string): Promise<void> {
  await writeFile(join(dir, path), text);
}

interface Ended {
  readonly exitCode?: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

const program = (...args: string[]): Promise<Ended> =>
  execa(process.execPath, [BUNDLE, ...args, `--settings=${dir}/settings.yaml`], { reject: false });

async function current(name: string): Promise<Chroot> {
  const found = await findChroot(stateDir, name);
  if (found === undefined) throw new Error(`There is no current version of ${name}.`);
  return found;
}

/** The output of a job's script in a machine of the chroot. */
async function inJob(image: string, script: string): Promise<string> {
  const settings = await readFile(join(dir, 'settings.yaml'), 'utf8');
  const job = await DriverJob.create({ image, settings });
  try {
    const prepared = await job.prepare();
    expect(prepared.status, prepared.stderr).toBe(0);
    const { stdout, stderr, status } = await job.run(script);
    expect(status, stderr).toBe(0);
    return stdout;
  } finally {
    await job.dispose();
  }
}

const hasAnsible = await hasVmPackages('ansible');

describe.runIf(hasAnsible)('a playbook', () => {
  const home = existsSync('/root/.ansible');

  it('makes its chroot, and jobs find what it did', async () => {
    await put('state/sid-ci.yml', PLAYBOOK.replace('NAME', 'sid-ci'));
    const { exitCode, stderr } = await program('-v', 'chroot-create', 'registry/x/base:sid-ci');
    expect(exitCode, stderr).toBe(0);
    const script =
      'cat /etc/greeting /etc/raw /etc/played /etc/second-play /etc/from-host; command -v less';
    const lines = (await inJob('registry.example.com/x/base:sid-ci', script)).trim().split('\n');
    expect(lines).toEqual([
      ...['hello Debian', '{{ not a template }}', 'played', 'second', 'hello'],
      '/usr/bin/less',
    ]);
  }, 480_000);

  it('limits machines as it says', async () => {
    const text = await readFile(join((await current('sid-ci')).path, '../machine.json'), 'utf8');
    expect(JSON.parse(text)).toEqual({
      format: 1,
      limits: { cpuWeight: 77, memoryHighPercent: 30 },
      seccomp: false,
      nspawnOptions: [],
    });
  });

  it('leaves nothing of Ansible, in the tree and on the host', async () => {
    const { path } = await current('sid-ci');
    for (const left of ['root/.ansible', 'run/nspawn-runner-ansible', 'usr/sbin/policy-rc.d']) {
      expect(existsSync(join(path, left)), left).toBe(false);
    }
    expect(existsSync('/root/.ansible')).toBe(home);
    const chroot = await readdir(join(stateDir, 'chroots/sid-ci'));
    expect(chroot.sort()).toEqual(['build.lock', 'build.log', 'current', 'versions']);
  });

  it('is listed by its old command, and not made twice', async () => {
    const { path } = await current('sid-ci');
    expect((await program('chroot-list')).stdout).toBe(`sid-ci ${path}`);
    const { exitCode, stderr } = await program('chroot-create', 'sid-ci');
    expect(exitCode).toBe(2);
    expect(stderr).toContain('Chroot "sid-ci" is there already.');
  });

  it('is played again by the maintenance, in a copy; one that fails stops no other', async () => {
    const before = await current('sid-ci');
    await put('state/broken.yaml', '- hosts: all\n  vars: {nspawn_runner_cpu_weight: heavy}\n');
    const { exitCode, stderr } = await program('chroot-maintenance');
    await rm(join(stateDir, 'broken.yaml'));
    expect(exitCode, stderr).toBe(1);
    expect(stderr).toContain('expected a whole number from 1 to 10000, got "heavy"');
    const after = await current('sid-ci');
    expect(after.version > before.version, stderr).toBe(true);
    expect(await inJob('sid-ci', 'cat /etc/played')).toBe('played\nplayed\n');
  });

  it('may be part of a recipe, with variables', async () => {
    await put(
      'recipes/more.yaml',
      'extends: sid-ci\nplaybook: more.yml\nplaybook_variables: {word: three}\n',
    );
    await put(
      'recipes/more.yml',
      '- hosts: all\n  tasks:\n    - copy: {content: "{{ word }}\\n", dest: /etc/word}\n',
    );
    const { exitCode, stderr } = await program('chroot', 'create', 'more');
    expect(exitCode, stderr).toBe(0);
    expect(await inJob('more', 'cat /etc/word')).toBe('three\n');
  });

  it('for other hosts is an error, and one that fails brings its lines', async () => {
    await put('recipes/more.yml', '- hosts: webservers\n  tasks: []\n');
    const other = await program('chroot', 'update', 'more');
    expect(other.exitCode).toBe(1);
    expect(other.stderr).toContain(`No play of "${dir}/recipes/more.yml" is for the chroot.`);
    const failing = '- hosts: all\n  tasks:\n    - name: no such thing\n      command: /no/such\n';
    await put('recipes/more.yml', failing);
    const failed = await program('chroot', 'update', 'more');
    expect(failed.exitCode).toBe(1);
    expect(failed.stderr).toContain('ansible-playbook ended with exit status 2');
    expect(failed.stderr).toContain('no such thing');
    expect(await inJob('more', 'cat /etc/word')).toBe('three\n');
  });
});

describe('a tree of the Python tool', () => {
  let tree = '';

  beforeAll(async () => {
    const base = await findChroot(STATE_DIR, 'debian-12');
    if (base === undefined) throw new Error('The host has no chroot debian-12.');
    tree = join(stateDir, 'bookworm');
    await host('cp', '--archive', base.path, tree);
    // As debootstrap leaves it, and a login that booted.
    await rm(join(tree, 'usr/sbin/init'));
    await put('state/bookworm/etc/machine-id', '0123456789abcdef0123456789abcdef\n');
    await put('state/bookworm/etc/hostname', 'the-host\n');
    await put('state/bookworm/etc/by-hand', 'by hand\n');
  });

  it('is shown by chroot-list with what takes it over', async () => {
    const { stderr } = await program('chroot-list');
    expect(stderr).toContain(`nspawn-runner chroot import ${tree}`);
  });

  it('is not taken over while a systemd-nspawn is in it', async () => {
    const words = ['--quiet', `--directory=${tree}`, '--machine=moving-in', '--as-pid2'];
    const login = execa('systemd-nspawn', [...words, '--console=pipe', '--', '/bin/sleep', '60'], {
      reject: false,
      stdin: 'ignore',
    });
    await waitFor('the login', async () =>
      (await host('machinectl', 'list')).includes('moving-in'),
    );
    const { exitCode, stderr } = await program('chroot', 'import', tree);
    await host('machinectl', 'terminate', 'moving-in');
    await login;
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`"${tree}" is not copied: a systemd-nspawn runs in it.`);
    expect(await findChroot(stateDir, 'bookworm')).toBeUndefined();
  });

  it('is taken over as it is, and stays', async () => {
    const { exitCode, stderr } = await program('chroot', 'import', tree);
    expect(exitCode, stderr).toBe(0);
    const said = await inJob('bookworm', 'cat /etc/by-hand; systemctl is-system-running --wait');
    expect(said).toBe('by hand\nrunning\n');
    expect(await readFile(join(tree, 'etc/machine-id'), 'utf8')).toMatch(/^0123/);
    expect(existsSync(join(tree, 'usr/sbin/init'))).toBe(false);
    expect((await program('chroot-list')).stderr).not.toContain(`import ${tree}`);
  });

  it('can be changed by chroot-login', async () => {
    const before = await current('bookworm');
    const { exitCode, stderr } = await execa(
      process.execPath,
      [BUNDLE, 'chroot-login', 'bookworm', `--settings=${dir}/settings.yaml`],
      { reject: false, input: 'echo logged in >/etc/login\nexit\n' },
    );
    expect(exitCode, stderr).toBe(0);
    expect((await current('bookworm')).version > before.version).toBe(true);
    expect(await inJob('debian:bookworm', 'cat /etc/login')).toBe('logged in\n');
  });

  it.runIf(hasAnsible)('is brought up to date by its playbook, and not by the timer', async () => {
    const line = 'echo again >>/etc/by-playbook';
    const head = 'hosts: all\n  gather_facts: no\n  vars: {nspawn_runner_chroot_suite: bookworm}';
    await put('state/bookworm.yaml', `- ${head}\n  tasks: [{raw: '${line}'}]\n`);
    const nightly = await program('chroot', 'update', 'bookworm');
    expect(nightly.stderr).toContain('bookworm: nothing to do');
    for (const times of [1, 2]) {
      const { exitCode, stderr } = await program('chroot-maintenance', 'bookworm');
      expect(exitCode, stderr).toBe(0);
      const said = await inJob('debian:bookworm', 'cat /etc/by-hand /etc/login /etc/by-playbook');
      expect(said).toBe(`by hand\nlogged in\n${'again\n'.repeat(times)}`);
    }
    expect((await program('chroot', 'update', 'bookworm')).stderr).toContain('nothing to do');
    await rm(join(stateDir, 'bookworm.yaml'));
  });

  it.each(['/', '/usr', '/etc/passwd'])('is not %s', async (path) => {
    const { exitCode, stderr } = await program('chroot', 'import', path, '--name=wrong');
    expect(exitCode, stderr).not.toBe(0);
    expect(await findChroot(stateDir, 'wrong')).toBeUndefined();
  });
});
