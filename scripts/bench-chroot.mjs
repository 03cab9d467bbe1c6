// What chroots cost: making one, finding nothing to do, and being replaced under jobs.
//
//   node scripts/bench-chroot.mjs ROUNDS [--json]
//
// Makes chroots in a state directory of its own, from the mirror that recipes name. Where systemd
// does not run no tree is tried in a machine, and no job is prepared.
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

async function bareArguments(work) {
  const { loadRecipe, aptSources, bootstrapArguments } = await makers(work);
  const places = { recipeDirs: [join(root, 'rootfs-recipes')], playbookDirs: [], shippedDirs: [] };
  const { source, packages } = await loadRecipe(RECIPE, places);
  const { suite, aptOptions } = source;
  const [target, sourcesFile] = [join(work, 'bare'), join(work, 'bare.sources')];
  writeFileSync(sourcesFile, aptSources(source, undefined));
  return { target, args: bootstrapArguments({ suite, target, sourcesFile, packages, aptOptions }) };
}

const chroot = (work, ...args) =>
  time(process.execPath, [program, 'chroot', ...args, `--settings=${join(work, 'settings.yaml')}`])
    .ms;

function oneCreate(work, { target, args }, first) {
  // What the program sets for it too.
  const env = { TMPDIR: work, LC_ALL: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive' };
  const bare = () => {
    const { ms } = time('mmdebstrap', args, { env: { ...process.env, ...env } });
    rmSync(target, { recursive: true });
    return ms;
  };
  // Else the time would be that of a removal too.
  chroot(work, 'remove', RECIPE);
  const create = () => chroot(work, 'create', RECIPE);
  if (first === 'ours') return { ours: create(), yardstick: bare() };
  const yardstick = bare();
  return { ours: create(), yardstick };
}

const currentTree = (work, name) => realpathSync(join(work, 'state/chroots', name, 'current/tree'));

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
    chroot(work, 'create', name);
  }
}

/** Updates again and again while `work` is done. */
async function whileUpdating(work, name, what) {
  const [stop, failed] = [join(work, 'stop'), join(work, 'failed')];
  const script =
    'stop=$1 failed=$2; shift 2; until [ -e "$stop" ]; do "$@" 2>"$failed.log" || { touch "$failed"; exit; }; done';
  const settings = `--settings=${join(work, 'settings.yaml')}`;
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
    const job = makeJob(work, { name: 'one' }, join(work, 'settings.yaml'));
    const { ms } = ours(job, 'prepare');
    ours(job, 'cleanup');
    return ms;
  });
  return median(each);
}

async function onePrepare(work, first) {
  const same = () => whileUpdating(work, 'one', () => prepares(work));
  const other = () => whileUpdating(work, 'two', () => prepares(work));
  if (first === 'ours') return { ours: await same(), yardstick: await other() };
  const yardstick = await other();
  return { ours: await same(), yardstick };
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

async function measureAll(work, count) {
  const bare = await bareArguments(work);
  // Once for the package caches on the way, and for what a first run of anything costs.
  chroot(work, 'create', RECIPE);
  const [creates, nothing, switches] = [[], [], []];
  const first = (round) => (round % 2 === 0 ? 'ours' : 'yardstick');
  for (let round = 0; round < count; round++) {
    const one = oneCreate(work, bare, first(round));
    tell('create', round, one);
    creates.push(one);
    nothing.push({ ours: chroot(work, 'update', RECIPE), yardstick: ALLOWANCE_MS });
  }
  if (!hasSystemd) return lines({ creates, nothing, switches });
  makeSmall(work);
  for (let round = 0; round < count; round++) {
    const one = await onePrepare(work, first(round));
    tell('prepare', round, one);
    switches.push(one);
  }
  return lines({ creates, nothing, switches });
}

const [rounds = '', ...options] = process.argv.slice(2);
const work = mkdtempSync('/var/lib/nspawn-runner-bench-');
try {
  chmodSync(work, 0o755);
  mkdirSync(join(work, 'recipes'));
  const dirs = [join(work, 'recipes'), join(root, 'rootfs-recipes')];
  const settings = `state_dir: ${join(work, 'state')}\nrecipe_dirs: [${dirs.join(', ')}]\n`;
  writeFileSync(join(work, 'settings.yaml'), `${settings}minimum_free_space: 1G\n`);
  const found = await measureAll(work, Number(rounds));
  const isJson = options.includes('--json');
  process.stdout.write(`${isJson ? JSON.stringify(found, undefined, 2) : table(found)}\n`);
} finally {
  spawnSync('rm', ['--recursive', '--force', '--one-file-system', '--', work]);
}
