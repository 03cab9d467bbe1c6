// What chroots cost: making one, finding nothing to do, and being replaced under jobs.
//
//   node scripts/bench-chroot.mjs ROUNDS [--json]
//
// Makes chroots in a state directory of its own. Where systemd does not run no tree is tried in a
// machine, and no job is prepared.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { makeJob, ours, time } from './bench-job.mjs';
import { measure, median, table } from './bench-report.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const program = join(root, 'dist/nspawn-runner.cjs');
const RECIPE = 'debian-12';
/** What an update with nothing to do may take. */
const ALLOWANCE_MS = 2000;
const PREPARES = 5;
/** Rounds of prepares to one of creates: what a switch may add is less than one prepare differs from the next. */
const PREPARE_ROUNDS = 4;
/** The state directory of all but the measured `create`. */
const STATE = 'state';
const hasSystemd = existsSync('/run/systemd/system');

/** The program's own sources and arguments for mmdebstrap; Node 20 does not read TypeScript. */
async function makers(work) {
  const outfile = join(work, 'makers.mjs');
  const contents = `
    export { loadRecipe } from './chroot/recipe-file.ts';
    export { aptSources } from './chroot/apt-sources.ts';
    export { bootstrapArguments } from './tools/mmdebstrap.ts';`;
  await build({
    stdin: { contents, resolveDir: join(root, 'src'), loader: 'ts' },
    ...{ bundle: true, platform: 'node', format: 'esm', target: 'node20', outfile },
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
    logLevel: 'error',
  });
  return import(pathToFileURL(outfile));
}

/** Makes the arguments of bare mmdebstrap for a target, with the sources that `mirror` stands for. */
async function bareArguments(work, mirror) {
  const { loadRecipe, aptSources, bootstrapArguments } = await makers(work);
  const places = { recipeDirs: [join(root, 'rootfs-recipes')], playbookDirs: [], shippedDirs: [] };
  const { source, packages } = await loadRecipe(RECIPE, places);
  const { suite, aptOptions } = source;
  const sourcesFile = join(work, 'bare.sources');
  writeFileSync(sourcesFile, aptSources(source, mirror));
  return (target) => bootstrapArguments({ suite, target, sourcesFile, packages, aptOptions });
}

const settingsOf = (work, state) => join(work, `${state}.yaml`);

function makeState(work, state, mirror) {
  const dirs = [join(work, 'recipes'), join(root, 'rootfs-recipes')];
  const lines = [
    `state_dir: ${join(work, state)}`,
    `recipe_dirs: [${dirs.join(', ')}]`,
    'minimum_free_space: 1G',
  ];
  if (mirror !== undefined) lines.push(`apt_mirror: ${mirror}`);
  writeFileSync(settingsOf(work, state), `${lines.join('\n')}\n`);
}

const chroot = (work, state, ...args) =>
  time(process.execPath, [program, 'chroot', ...args, `--settings=${settingsOf(work, state)}`]).ms;

/** Who goes first changes from round to round. */
async function inTurn(round, ours, yardstick) {
  if (round % 2 === 0) return { ours: await ours(), yardstick: await yardstick() };
  const first = await yardstick();
  return { ours: await ours(), yardstick: first };
}

/**
 * Nothing is removed before the end: ext4 without a journal looks past every inode that was freed in
 * the last minutes (recently_deleted in fs/ext4/ialloc.c), and a tree that is made after the removal
 * of another can take half as long again.
 */
function oneCreate(work, mirror, bare, round) {
  const state = `round-${round}`;
  makeState(work, state, mirror);
  // What the program sets for it too.
  const env = { TMPDIR: work, LC_ALL: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive' };
  const args = bare(join(work, `bare-${round}`));
  time('sync', []);
  return inTurn(
    round,
    () => chroot(work, state, 'create', RECIPE),
    () => time('mmdebstrap', args, { env: { ...process.env, ...env } }).ms,
  );
}

const currentTree = (work, name) =>
  realpathSync(join(work, STATE, 'chroots', name, 'current/tree'));

/** Two chroots that jobs can use and that are made in a moment. */
function makeSmall(work) {
  const archive = join(work, 'small.tar');
  const without = ['doc', 'locale', 'man', 'zoneinfo', 'perl'].map(
    (name) => `--exclude=./usr/share/${name}`,
  );
  time('tar', [
    `--directory=${currentTree(work, RECIPE)}`,
    ...without,
    `--file=${archive}`,
    '--create',
    '.',
  ]);
  for (const name of ['one', 'two']) {
    writeFileSync(join(work, `recipes/${name}.yaml`), `tar: {location: ${archive}}\nkeep: 0\n`);
    chroot(work, STATE, 'create', name);
  }
}

/** Updates again and again while `work` is done. */
async function whileUpdating(work, name, what) {
  const [stop, failed] = [join(work, 'stop'), join(work, 'failed')];
  const script =
    'stop=$1 failed=$2; shift 2; until [ -e "$stop" ]; do "$@" 2>"$failed.log" || { touch "$failed"; exit; }; done';
  const settings = `--settings=${settingsOf(work, STATE)}`;
  const update = [process.execPath, program, 'chroot', 'update', '--rebuild', name, settings];
  const loop = spawn('sh', ['-c', script, 'sh', stop, failed, ...update], { stdio: 'ignore' });
  const ended = once(loop, 'exit');
  try {
    return what();
  } finally {
    writeFileSync(stop, '');
    await ended;
    rmSync(stop);
    if (existsSync(failed)) throw new Error(`The updates of ${name} failed: ${failed}.log`);
  }
}

function prepares(work) {
  const each = Array.from({ length: PREPARES }, () => {
    const job = makeJob(work, { name: 'one' }, settingsOf(work, STATE));
    const { ms } = ours(job, 'prepare');
    ours(job, 'cleanup');
    return ms;
  });
  return median(each);
}

function onePrepare(work, round) {
  const whileOf = (name) => () => whileUpdating(work, name, () => prepares(work));
  return inTurn(round, whileOf('one'), whileOf('two'));
}

function lines({ creates, nothing, switches }) {
  const one = (name, rounds, aim) => {
    const [mine, yardstick] = ['ours', 'yardstick'].map((key) => rounds.map((each) => each[key]));
    const ratio = (at) => mine[at] / yardstick[at];
    return measure({ name, ours: mine, yardstick, ratio, aim });
  };
  const tried = hasSystemd ? 'tried in a machine' : 'not tried';
  return [
    one(`chroot create ${RECIPE}, ${tried} / bare mmdebstrap`, creates, 1.15),
    one('chroot update with nothing to do / two seconds', nothing, 1),
    ...(switches.length === 0
      ? []
      : [one('prepare while its chroot is updated / while another is', switches, 1.05)]),
  ];
}

function tell(what, round, { ours: mine, yardstick }) {
  const [a, b] = [mine, yardstick].map((ms) => ms.toFixed(0));
  process.stderr.write(`${what}, round ${round + 1}: ${a} ms, yardstick ${b} ms\n`);
}

async function measureAll(work, count, mirror) {
  const bare = await bareArguments(work, mirror);
  // Asks the real mirror: its answer is a part of what an operator waits for.
  makeState(work, STATE);
  chroot(work, STATE, 'create', RECIPE);
  // Once for the mirror's cache, and for what a first run of anything costs.
  await oneCreate(work, mirror, bare, 'warm');
  const [creates, nothing, switches] = [[], [], []];
  for (let round = 0; round < count; round++) {
    const one = await oneCreate(work, mirror, bare, round);
    tell('create', round, one);
    creates.push(one);
    nothing.push({ ours: chroot(work, STATE, 'update', RECIPE), yardstick: ALLOWANCE_MS });
  }
  if (!hasSystemd) return lines({ creates, nothing, switches });
  makeSmall(work);
  for (let round = 0; round < count * PREPARE_ROUNDS; round++) {
    const one = await onePrepare(work, round);
    tell('prepare', round, one);
    switches.push(one);
  }
  return lines({ creates, nothing, switches });
}

/** Every package is read from a warm cache, so that the network's pace is no part of the ratio. */
async function startMirror(work) {
  const cache = join(work, 'cache');
  mkdirSync(cache);
  const mirror = spawn(process.execPath, [join(root, 'scripts/bench-mirror.mjs'), cache], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [port] = await once(mirror.stdout, 'data');
  return { mirror, url: `http://127.0.0.1:${String(port).trim()}/debian` };
}

const [rounds = '', ...options] = process.argv.slice(2);
const work = mkdtempSync('/var/lib/nspawn-runner-bench-');
chmodSync(work, 0o755);
mkdirSync(join(work, 'recipes'));
const { mirror, url } = await startMirror(work);
try {
  const found = await measureAll(work, Number(rounds), url);
  const isJson = options.includes('--json');
  process.stdout.write(`${isJson ? JSON.stringify(found, undefined, 2) : table(found)}\n`);
} finally {
  mirror.kill();
  spawnSync('rm', ['--recursive', '--force', '--one-file-system', '--', work]);
}
