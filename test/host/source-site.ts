/** A place to fill a tree from a source, as a build has it. */
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { SourceSite } from '../../src/chroot/source-tree.ts';
import { run } from '../../src/tools/exec.ts';

export interface TestSite extends SourceSite {
  /** What the tools said. */
  readonly lines: readonly string[];
  readonly steps: readonly string[];
  /** Holds the site; for what a test brings with it. */
  readonly dir: string;
  readonly remove: () => Promise<void>;
}

export async function makeSite(more: Partial<SourceSite> = {}): Promise<TestSite> {
  const dir = await mkdtemp('/var/tmp/source-site-');
  const site = join(dir, 'chroot');
  const [tree, tempDir] = [join(site, 'tree'), join(site, 'temporary')];
  await mkdir(tree, { recursive: true, mode: 0o755 });
  await mkdir(tempDir, { mode: 0o700 });
  const lock = await open(join(site, 'build.lock'), 'a+');
  const lines: string[] = [];
  const steps: string[] = [];
  return {
    tree,
    tempDir,
    aptMirror: undefined,
    packages: [],
    how: {
      lockFd: lock.fd,
      onLine: (line) => void lines.push(line),
      signal: new AbortController().signal,
    },
    step: (text) => void steps.push(text),
    lines,
    steps,
    dir,
    remove: async () => {
      await lock.close();
      await run('rm', ['--recursive', '--force', '--one-file-system', '--', dir]);
      await rm(dir, { force: true, recursive: true });
    },
    ...more,
  };
}
