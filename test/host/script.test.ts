/** What a script finds in its machine, and what passes between it and the job's log. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DriverJob, host } from './driver.ts';

describe.each(['debian-12', 'debian-13'])('a script on %s', (image) => {
  let job: DriverJob;
  beforeAll(async () => {
    job = await DriverJob.create({ image });
    expect((await job.prepare()).status).toBe(0);
  });
  afterAll(() => job.dispose());

  it('finds a user, a home, a shell, a path, a language and a place for temporary files', async () => {
    const { stdout } = await job.run(
      'echo "$USER $LOGNAME $HOME $SHELL $LANG $TMPDIR"; echo "$PATH"; touch "$TMPDIR/x" && echo writable; ulimit -n',
    );
    expect(stdout.split('\n').slice(0, 4)).toEqual([
      'root root /root /bin/bash C.UTF-8 /tmp',
      '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'writable',
      expect.stringMatching(/^\d{5,}$/),
    ]);
  });

  it('carries the tag of its job, and so does a service of the machine', async () => {
    const tag = `runner-3-project-7-concurrent-0-${job.id}`;
    const { stdout } = await job.run(
      'echo "$_CI_JOB_TAG"; systemd-run --quiet --pipe --wait sh -c \'echo "$_CI_JOB_TAG"\'',
    );
    expect(stdout).toBe(`${tag}\n${tag}\n`);
  });

  it('resolves the own name of its machine without DNS', async () => {
    const { stdout } = await job.run('hostname; getent hosts "$(hostname)" | cut -d" " -f1');
    expect(stdout).toBe(`${job.machine}\n127.0.1.1\n`);
  });

  it('can open its standard streams by path', async () => {
    const result = await job.run(
      'echo out >/dev/stdout; echo err >/dev/stderr; echo fd >/dev/fd/1',
    );
    expect([result.stdout, result.stderr]).toEqual(['out\nfd\n', 'err\n']);
  });

  it('reads nothing from the driver but itself', async () => {
    const { stdout } = await job.run('(cat | wc -c) </dev/null\necho next\n');
    expect(stdout).toBe('0\nnext\n');
  });

  it('does not find itself on a command line or a disk', async () => {
    const { stdout } = await job.run(
      'printf s%s ecret-marker | grep -rlF -f - /proc/[0-9]*/cmdline /run /tmp /root /builds 2>/dev/null | head\necho done\n',
    );
    expect(stdout).toBe('done\n');
  });

  it('starts services, and the machine is a running system', async () => {
    const { stdout } = await job.run('systemctl is-system-running; systemctl is-active dbus');
    expect(stdout).toBe('running\nactive\n');
  });

  it('may have 4 MB', async () => {
    const line = `: ${'x'.repeat(1000)}\n`;
    const result = await job.run(`${line.repeat(4200)}echo whole; exit 4\n`);
    expect([result.status, result.exitCode?.trim(), result.stdout]).toEqual([1, '4', 'whole\n']);
  });

  it('may hold a variable of 120 KB', async () => {
    const result = await job.run(
      `export BIG='${'y'.repeat(120_000)}'\nprintf %s "$BIG" | wc -c\nenv | wc -c >/dev/null\n`,
    );
    expect([result.stdout, result.stderr]).toEqual(['120000\n', '']);
  });

  it('writes bytes of every value through unharmed', async () => {
    const result = await job.run(
      'for i in $(seq 0 255); do printf "\\\\x$(printf %x $i)"; done | od -An -tx1 -v | tr -d \' \\n\'',
    );
    const all = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0')).join('');
    expect(result.stdout).toBe(all);
  });
});

describe('many stages at once', () => {
  it('lose nothing of what their scripts say', async () => {
    const job = await DriverJob.create();
    expect((await job.prepare()).status).toBe(0);
    const stages = Array.from({ length: 24 }, async (_, i) =>
      job.run(`echo ${i}; echo >&2; exit 7`),
    );
    const seen = (await Promise.all(stages)).map(({ status, stdout, stderr }) => [
      status,
      stdout,
      stderr,
    ]);
    expect(seen).toEqual(Array.from({ length: 24 }, (_, i) => [1, `${i}\n`, '\n']));
    await job.dispose();
  });
});

describe('long output', () => {
  it('of 200 MB comes whole, and the driver does not grow with it', async () => {
    const job = await DriverJob.create();
    await job.prepare();
    const running = await job.startRun('head -c 200000000 /dev/zero | tr "\\0" x; exit 6');
    let peakKiB = 0;
    const timer = setInterval(() => {
      void readFile(`/proc/${running.pid}/status`, 'utf8').then(
        (status) => {
          const [, hwm] = /VmHWM:\s+(\d+)/.exec(status) ?? [];
          peakKiB = Math.max(peakKiB, Number(hwm ?? 0));
        },
        () => undefined,
      );
    }, 20);
    const result = await running.result;
    clearInterval(timer);
    expect(result.stdout.length).toBe(200_000_000);
    expect(result.exitCode?.trim()).toBe('6');
    expect(peakKiB).toBeGreaterThan(0);
    expect(peakKiB).toBeLessThan(200_000);
    await job.dispose();
  });
});

describe('what a script leaves running', () => {
  it('does not hold the stage, lives on, and is gone with the machine', async () => {
    const job = await DriverJob.create();
    await job.prepare();
    const first = await job.run(
      'sleep 300 & echo $! >/tmp/pid; (while :; do echo noise; sleep 0.01; done) & echo left',
    );
    expect(first.stdout.replaceAll('noise\n', '')).toBe('left\n');
    expect(first.durationMs).toBeLessThan(100_000);
    const second = await job.run(
      'sleep 0.3; kill -0 "$(cat /tmp/pid)" && echo alive; pgrep -fc "echo noise" >/dev/null; jobs=$(pgrep -x bash | wc -l); [ "$jobs" -ge 2 ] && echo noisy',
      'after_script',
    );
    expect(second.stdout).toBe('alive\nnoisy\n');
    expect(second.status).toBe(0);
    await job.dispose();
  });

  it('as a service keeps running between stages', async () => {
    const job = await DriverJob.create();
    await job.prepare();
    await job.run('systemd-run --quiet --unit=own sleep 300');
    expect((await job.run('systemctl is-active own')).stdout).toBe('active\n');
    await job.dispose();
  });
});

describe('settings of the script', () => {
  it('sh and an unprivileged user have what they need', async () => {
    const job = await DriverJob.create({ settings: 'shell: sh\nuser: daemon\n' });
    expect((await job.prepare()).status).toBe(0);
    const { stdout, stderr } = await job.run(
      'id -un; readlink /proc/$$/exe; echo out >/dev/stdout; echo err >/dev/stderr; mkdir /builds/x && echo builds; touch /cache/x && echo cache; kill -0 1 2>/dev/null || echo unprivileged',
    );
    expect(stdout).toBe('daemon\n/usr/bin/dash\nout\nbuilds\ncache\nunprivileged\n');
    expect(stderr).toBe('err\n');
    await job.dispose();
  });

  it.each(['daemon', 'nobody'])('%s, who has no home of his own, gets one', async (user) => {
    const job = await DriverJob.create({ settings: `user: ${user}\n` });
    expect((await job.prepare()).status).toBe(0);
    const { stdout, stderr } = await job.run(
      'echo "$HOME $SHELL"; git config --global user.name x && cat ~/.gitconfig; ls -A /home',
    );
    expect([stdout, stderr]).toEqual([
      `/home/${user} /bin/bash\n[user]\n\tname = x\n${user}\n`,
      '',
    ]);
    await job.dispose();
  });

  it('a changed user owns what was kept for the one before', async () => {
    const project = { project_id: Date.now(), project_name: 'project' };
    const response = { job_info: { name: 'test', stage: 'test', ...project } };
    for (const user of ['root', 'daemon', 'root']) {
      const settings = `keep_builds: true\nuser: ${user}\n`;
      const job = await DriverJob.create({ settings, response });
      expect((await job.prepare()).status).toBe(0);
      const { stdout, stderr } = await job.run(
        'for d in /builds /cache; do mkdir -p $d/a; date >$d/a/file; ln -sf /etc/passwd $d/a/link; done; find /builds /cache /etc/passwd -printf "%u\\n" | sort | uniq -c',
      );
      expect(stderr).toBe('');
      expect(stdout).toMatch(user === 'root' ? /^ +9 root\n$/ : /^ +8 daemon\n +1 root\n$/);
      await job.dispose();
    }
  });

  it('refuses a user that the chroot does not have', async () => {
    const job = await DriverJob.create({ settings: 'user: nosuchuser\n' });
    const result = await job.prepare();
    expect(result.status).toBe(2);
    expect(result.stderr).toContain('User "nosuchuser" does not exist in the chroot.');
    await job.dispose();
  });
});

describe('the journal', () => {
  it('of the machine is readable from the host while it lives, and its console stays out of the host’s', async () => {
    const job = await DriverJob.create();
    await job.prepare();
    await job.run('logger -t fromjob hello-from-the-job; journalctl --sync');
    const inner = await host(
      'journalctl',
      `--machine=${job.machine}`,
      '--identifier=fromjob',
      '--output=cat',
    );
    expect(inner).toBe('hello-from-the-job');
    const outer = await host('journalctl', `--unit=${job.unit}`, '--output=cat');
    expect(outer.split('\n').length).toBeLessThanOrEqual(4);
    expect(outer).not.toContain('Reached target');
    await job.dispose();
  });
});
