// Bundles the program into one CommonJS file that runs without node_modules, with the two sh files
// of the machine beside it. CommonJS because a single executable on Node 20 wants it.
import { build } from 'esbuild';
import { chmodSync, copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeSchemas } from './schema.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

mkdirSync(dist, { recursive: true });
await build({
  entryPoints: [join(root, 'src/main.ts')],
  outfile: join(dist, 'nspawn-runner.cjs'),
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  format: 'cjs',
  minifySyntax: true,
  minifyWhitespace: true,
  sourcemap: 'linked',
  legalComments: 'linked',
  banner: { js: '#!/usr/bin/env node' },
  define: { NSPAWN_RUNNER_VERSION: JSON.stringify(version), 'import.meta.dirname': '__dirname' },
  logLevel: 'warning',
});
chmodSync(join(dist, 'nspawn-runner.cjs'), 0o755);
for (const name of ['boot.sh', 'frame.sh']) {
  copyFileSync(join(root, 'src/machine', name), join(dist, name));
}
await writeSchemas(root, dist);
