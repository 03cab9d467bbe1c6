// How long the reaper takes for each orphan, with few and with many of them on the host.
//
//   node scripts/bench-reap.mjs [--json]
//
// Plants orphans and reaps them: for a lab host. The yardstick is one call of systemctl(1), the
// smallest question that the reaper asks systemd, measured before and after each run.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { time } from './bench-job.mjs';
import { measure, median, table } from './bench-report.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const program = join(root, 'dist/nspawn-runner.cjs');
const QUESTIONS = 15;
/** Orphans at once, and how many runs of so many. */
const SIZES = [
  [10, 6],
  [100, 2],
  [1000, 1],
];

/** The tests' own makers of orphans; Node 20 does not read TypeScript. */
async function makers(directory) {
  const outfile = join(directory, 'orphans.mjs');
  const source = join(root, 'test/host/orphans.ts');
  await build({
    entryPoints: [source],
    ...{ bundle: true, platform: 'node', format: 'esm', target: 'node20', outfile },
    define: { 'import.meta.dirname': JSON.stringify(dirname(source)) },
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
    logLevel: 'error',
  });
  return import(pathToFileURL(outfile));
}

function question() {
  const ask = () => time('systemctl', ['show', '--property=ActiveState', 'init.scope']).ms;
  return median(Array.from({ length: QUESTIONS }, ask));
}

/** Milliseconds for each of `count` orphans, and for a question to systemd meanwhile. */
async function oneRun({ plantOrphans, SORTS, IGNORES_TERM }, count, run) {
  const sorts = SORTS.filter((sort) => sort !== IGNORES_TERM);
  await plantOrphans(count, { sorts, from: run * count });
  const before = question();
  const { ms, stdout } = time(process.execPath, [program, 'reap', '--json']);
  const removed = JSON.parse(stdout).items.filter(({ result }) => result === 'removed').length;
  if (removed < count) throw new Error(`${removed} of ${count} were removed:\n${stdout}`);
  process.stderr.write(`${count} orphans: ${(ms / count).toFixed(0)} ms each\n`);
  return { each: ms / count, question: (before + question()) / 2 };
}

async function measureAll(directory) {
  const orphans = await makers(directory);
  const restore = await orphans.prepareGround();
  try {
    await oneRun(orphans, 10, 0);
    const found = [];
    for (const [count, runs] of SIZES) {
      const results = [];
      for (let run = 0; run < runs; run++) results.push(await oneRun(orphans, count, run));
      found.push({ count, results });
    }
    return lines(found);
  } finally {
    await restore();
  }
}

function lines(found) {
  const measures = found.map(({ count, results }) => {
    const [ours, yardstick] = ['each', 'question'].map((name) => results.map((r) => r[name]));
    const name = `each of ${count} orphans / \`systemctl show\``;
    return measure({ name, ours, yardstick, ratio: (at) => ours[at] / yardstick[at] });
  });
  const [, hundred, thousand] = measures.map(({ ratio }) => [ratio.median]);
  const name = 'each of 1000 / each of 100, in `systemctl show`';
  const flat = { name, ours: thousand, yardstick: hundred, aim: 1.5 };
  return [...measures, measure({ ...flat, ratio: () => thousand[0] / hundred[0] })];
}

const directory = mkdtempSync(join(tmpdir(), 'bench-reap-'));
try {
  // The first call of a host starts what answers for machines.
  spawnSync('machinectl', ['list'], { stdio: 'ignore' });
  const found = await measureAll(directory);
  const isJson = process.argv.includes('--json');
  process.stdout.write(`${isJson ? JSON.stringify(found, undefined, 2) : table(found)}\n`);
} finally {
  rmSync(directory, { recursive: true });
}
