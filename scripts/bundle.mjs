// Makes one CommonJS file of the program. esbuild splits it into what each command needs, which only
// works for ES modules; each chunk is then turned into CommonJS and goes as text into the head of the
// program, src/loader.ts, that compiles it when it is asked for (docs/decisions/0004-start-up.md).
import { build, transform } from 'esbuild';
import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';

const target = { platform: 'node', target: 'node20.19', logLevel: 'warning' };

/** The text of the program, and the legal comments of the packages in it. */
export async function bundle(root, version) {
  const { outputFiles } = await build({
    ...target,
    entryPoints: [join(root, 'src/main.ts')],
    outdir: join(root, 'dist'),
    bundle: true,
    splitting: true,
    write: false,
    format: 'esm',
    minifySyntax: true,
    legalComments: 'external',
    define: {
      NSPAWN_RUNNER_VERSION: JSON.stringify(version),
      'import.meta.dirname': '__dirname',
      'import.meta.url': 'undefined',
    },
  });
  const isLegal = ({ path }) => path.endsWith('.LEGAL.txt');
  const chunks = {};
  for (const { path, text } of outputFiles.filter((file) => !isLegal(file))) {
    chunks[`./${basename(path)}`] = await commonJs(text);
  }
  return {
    program: await head(root, chunks),
    legal: outputFiles
      .filter(isLegal)
      .map((file) => file.text)
      .join('\n'),
  };
}

async function commonJs(text) {
  const { code } = await transform(text, {
    ...target,
    format: 'cjs',
    minifySyntax: true,
    minifyWhitespace: true,
    supported: { 'dynamic-import': false },
  });
  return code.trim();
}

async function head(root, chunks) {
  const digest = createHash('sha256').update(JSON.stringify(chunks)).digest('hex').slice(0, 16);
  const contents = JSON.stringify({ build: digest, chunks });
  const { outputFiles } = await build({
    ...target,
    entryPoints: [join(root, 'src/loader.ts')],
    bundle: true,
    write: false,
    format: 'cjs',
    minifySyntax: true,
    minifyWhitespace: true,
    banner: {
      js: '#!/usr/bin/env node\n/*! The licenses of the packages in here are in nspawn-runner.cjs.LEGAL.txt. */',
    },
    plugins: [
      {
        name: 'chunks',
        setup: ({ onResolve, onLoad }) => {
          onResolve({ filter: /^nspawn-runner:chunks$/ }, ({ path }) => ({
            path,
            namespace: 'chunks',
          }));
          onLoad({ filter: /.*/, namespace: 'chunks' }, () => ({ contents, loader: 'json' }));
        },
      },
    ],
  });
  return outputFiles[0].text;
}
