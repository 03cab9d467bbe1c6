// Takes the measures of scripts/bench on the systemd that runs here, and prints them.
//
//   node scripts/bench-measure.mjs ROUNDS [--json]
//
// Each round measures everything once, ours and the yardstick in turn, and every other round begins
// with the yardstick; a first round is not counted. Times are wall time, from start to end of the
// process that GitLab Runner would start.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SCRIPTS, STATE_DIR, freshId, machineOf, makeJob, ours, time } from './bench-job.mjs';
import { measure, table } from './bench-report.mjs';

const CHROOTS = ['debian-13', 'debian-12'];
const scripts = dirname(fileURLToPath(import.meta.url));
const yardstick = (stage) => join(scripts, 'bench.d', stage);

const quiet = (command, ...args) => void spawnSync(command, args, { stdio: 'ignore' });

/** Up to the first program that a stage starts: in its place stands one that kills the stage. */
function stageStarts(work, chroot, prepared, first) {
  const job = makeJob(work, chroot);
  const start = (name, of, args, options) => ({
    [name]: () => ours(of, ...args, options).ms,
  });
  const killed = { endsBy: 'kill' };
  const takes = {
    // In the environment of a stage: NODE_EXTRA_CA_CERTS alone can double the start of Node 20.
    node: () => time(process.execPath, [join(work, 'empty.cjs')], { env: job.env }).ms,
    ...start('config', job, ['config', []]),
    ...start('prepare', job, ['prepare', []], killed),
    ...start('run', prepared, ['run', [prepared.script('true'), 'step_script']], killed),
    ...start('cleanup', makeJob(work, chroot), ['cleanup', []], killed),
  };
  const order = first === 'ours' ? Object.keys(takes) : Object.keys(takes).reverse();
  return Object.fromEntries(
    order.map((name) => {
      const leftover = machineOf(job);
      if (leftover !== undefined) rmSync(join(STATE_DIR, 'jobs', leftover), { recursive: true });
      return [name, takes[name]()];
    }),
  );
}

/** systemd-run and systemctl are replaced in a mount namespace of our own: the host's stay. */
function inStubbedNamespace(work, args) {
  const stub = join(work, 'kill-parent');
  writeFileSync(stub, '#!/bin/sh\nkill -KILL $PPID\n', { mode: 0o755 });
  const replace =
    'for tool in systemd-run systemctl; do mount --bind "$1" "/usr/bin/$tool" || exit 1; done; shift; exec "$@"';
  const self = [process.execPath, fileURLToPath(import.meta.url), '--starts', ...args];
  return JSON.parse(time('unshare', ['--mount', 'sh', '-c', replace, 'sh', stub, ...self]).stdout);
}

function bareRun(machine, script) {
  const args = ['--quiet', '--pipe', '--wait', `--machine=${machine}`, '/bin/bash'];
  return time('systemd-run', args, { input: script }).ms;
}

/** systemd-nspawn alone, on an overlay of the same tree that is already mounted. */
function rawBoot(work, chroot) {
  const name = `bench-${freshId()}`;
  const directory = join(work, name);
  for (const part of ['upper', 'work', 'merged'])
    mkdirSync(join(directory, part), { recursive: true });
  chmodSync(join(directory, 'upper'), 0o755);
  const merged = join(directory, 'merged');
  const layers = `lowerdir=${chroot.path},upperdir=${directory}/upper,workdir=${directory}/work`;
  time('mount', ['-t', 'overlay', '-o', layers, 'bench', merged]);
  try {
    const unit = [
      '--quiet',
      '--collect',
      `--unit=${name}`,
      '--service-type=notify',
      '--property=Delegate=yes',
    ];
    const nspawn = ['systemd-nspawn', '--quiet', '--keep-unit', '--boot', '--notify-ready=yes'];
    return time('systemd-run', [...unit, ...nspawn, `--machine=${name}`, `--directory=${merged}`])
      .ms;
  } finally {
    quiet('systemctl', 'kill', '--signal=KILL', `${name}.service`);
    quiet('systemctl', 'stop', `${name}.service`);
    quiet('umount', merged);
    rmSync(directory, { recursive: true, force: true });
  }
}

function prepareAlone(work, chroot) {
  const job = makeJob(work, chroot);
  const { ms } = ours(job, 'prepare');
  ours(job, 'cleanup');
  return ms;
}

function wholeJob(work, chroot, stage) {
  const job = makeJob(work, chroot);
  const calls = [
    ['config'],
    ['prepare'],
    ...Object.keys(SCRIPTS).map((name) => ['run', job.script(name), name]),
    ['cleanup'],
  ];
  return calls.reduce((sum, [name, ...args]) => sum + stage(job, name, args).ms, 0);
}

/** The yardstick's job; that its machine is gone at last is waited for and not counted. */
function yardstickJob(work, chroot) {
  let id = '';
  const ms = wholeJob(work, chroot, (job, stage, args) => {
    id = job.id;
    return time(yardstick(stage), args, { env: job.env });
  });
  while (spawnSync('systemctl', ['is-active', '--quiet', `run-${id}.service`]).status === 0) {
    quiet('sleep', '0.05');
  }
  rmSync(join(dirname(chroot.copy), `run-${id}`), { recursive: true, force: true });
  return ms;
}

function oneRound(work, chroot, prepared, first) {
  const inTurn = (mine, other) => {
    if (first === 'ours') return { ours: mine(), yardstick: other() };
    const yardstick = other();
    return { ours: mine(), yardstick };
  };
  const script = prepared.script('true');
  return {
    starts: inStubbedNamespace(work, [work, prepared.id, first]),
    run: inTurn(
      () => ours(prepared, 'run', [script, 'step_script']).ms,
      () => bareRun(machineOf(prepared), script),
    ),
    boot: inTurn(
      () => prepareAlone(work, chroot),
      () => rawBoot(work, chroot),
    ),
    job: inTurn(
      () => wholeJob(work, chroot, ours),
      () => yardstickJob(work, chroot),
    ),
  };
}

function results(rounds) {
  const node = rounds.map(({ starts }) => starts.node);
  const start = (name, what, aim) => {
    const mine = rounds.map(({ starts }) => starts[name]);
    return measure({
      name: what,
      ours: mine,
      yardstick: node,
      ratio: (at) => mine[at] / node[at],
      aim,
    });
  };
  const series = (name) => ({
    ours: rounds.map((round) => round[name].ours),
    yardstick: rounds.map((round) => round[name].yardstick),
  });
  const [run, boot, job] = ['run', 'boot', 'job'].map(series);
  const runStart = rounds.map(({ starts }) => starts.run);
  return [
    start('run', 'run, until systemd-run is started / bare node', 1.6),
    start('prepare', 'prepare, until systemd-run is started / bare node', 1.6),
    start('config', 'config / bare node', 1.6),
    start('cleanup', 'cleanup, until systemctl is started / bare node', 1.6),
    measure({
      name: 'run of `true`, less bare systemd-run / bare node',
      ...run,
      ratio: (at) => (run.ours[at] - run.yardstick[at]) / node[at],
      aim: 1.6,
    }),
    measure({
      name: 'prepare, less the start of a stage / raw systemd-nspawn --boot',
      ...boot,
      ratio: (at) => (boot.ours[at] - runStart[at]) / boot.yardstick[at],
      aim: 1.25,
    }),
    measure({
      name: 'job of eight stages / four shell scripts',
      ...job,
      ratio: (at) => job.ours[at] / job.yardstick[at],
      aim: 1,
    }),
  ];
}

function findChroot(work) {
  const directory = join(STATE_DIR, 'chroots');
  const name = CHROOTS.find((candidate) => readdirSync(directory).includes(candidate));
  if (name === undefined) throw new Error(`${directory} has neither of ${CHROOTS.join(', ')}.`);
  const current = realpathSync(join(directory, name, 'current'));
  const tree = readdirSync(current).includes('usr') ? current : join(current, 'tree');
  // systemd-nspawn makes mount points in the tree it is given: the yardstick gets one of its own.
  const copy = join(work, 'trees/tree');
  mkdirSync(dirname(copy));
  time('cp', ['-a', tree, copy]);
  return { name, path: tree, copy };
}

function measureAll(count) {
  const work = mkdtempSync('/var/lib/nspawn-runner-bench-');
  chmodSync(work, 0o755);
  try {
    writeFileSync(join(work, 'empty.cjs'), '');
    const chroot = findChroot(work);
    const prepared = makeJob(work, chroot);
    writeFileSync(join(work, 'prepared.json'), JSON.stringify({ chroot, prepared }));
    ours(prepared, 'prepare');
    try {
      const rounds = Array.from({ length: count + 1 }, (_, at) => {
        process.stderr.write(`round ${at} of ${count}\n`);
        return oneRound(work, chroot, prepared, at % 2 === 0 ? 'ours' : 'yardstick');
      });
      return results(rounds.slice(1));
    } finally {
      ours(prepared, 'cleanup');
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

const [first = '', ...rest] = process.argv.slice(2);
if (first === '--starts') {
  const [work = '', , order] = rest;
  const { chroot, prepared } = JSON.parse(readFileSync(join(work, 'prepared.json'), 'utf8'));
  const job = { ...prepared, script: (name) => join(prepared.directory, name) };
  process.stdout.write(JSON.stringify(stageStarts(work, chroot, job, order)));
} else {
  const found = measureAll(Number(first));
  process.stdout.write(
    rest.includes('--json') ? `${JSON.stringify(found, undefined, 2)}\n` : `${table(found)}\n`,
  );
}
