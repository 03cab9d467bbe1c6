// Bundles the program into one CommonJS file that runs without node_modules, with the two sh files
// of the machine beside it. CommonJS because a single executable on Node 20 wants it.
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundle } from './bundle.mjs';
import { writeSchemas } from './schema.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

mkdirSync(dist, { recursive: true });
const { program, legal } = await bundle(root, version);
writeFileSync(join(dist, 'nspawn-runner.cjs'), program);
writeFileSync(join(dist, 'nspawn-runner.cjs.LEGAL.txt'), legal);
chmodSync(join(dist, 'nspawn-runner.cjs'), 0o755);
for (const name of ['boot.sh', 'frame.sh']) {
  copyFileSync(join(root, 'src/machine', name), join(dist, name));
}
await writeSchemas(root, dist);
