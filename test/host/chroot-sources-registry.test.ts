/** Trees from a registry: by tag and by digest, with credentials, and how a new image is noticed. */
import { execa } from 'execa';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { makeSourceTree, upstreamState } from '../../src/chroot/source-tree.ts';
import type { OciSource } from '../../src/chroot/source.ts';
import { renderError } from '../../src/render-error.ts';
import { makeOciLayout } from './oci-layout.ts';
import { startRegistry, type Registry } from './registry.ts';
import { hasSourcePackages } from './source-packages.ts';
import { makeSite, type TestSite } from './source-site.ts';

describe.runIf(await hasSourcePackages('docker-registry', 'skopeo', 'umoci', 'zstd'))(
  'registry',
  () => {
    let home: TestSite;
    let site: TestSite;
    let registry: Registry;
    const digests: string[] = [];

    beforeAll(async () => {
      home = await makeSite();
      registry = await startRegistry(home.dir);
      digests.push(await push('first'), await push('second'));
    });
    afterAll(async () => {
      await registry.stop();
      await home.remove();
    });
    beforeEach(async () => {
      site = await makeSite();
    });
    afterEach(() => site.remove());

    /** An image with one file that says which it is, as `latest`. */
    async function push(content: string): Promise<string> {
      const root = join(home.dir, content);
      for (const name of ['etc', 'usr', 'var']) await mkdir(join(root, name), { recursive: true });
      await writeFile(join(root, 'etc/content'), content);
      const layout = join(home.dir, `layout-${content}`);
      const digest = await makeOciLayout({ layout, tag: 'a', layers: [root] });
      await execa('skopeo', [
        '--insecure-policy',
        'copy',
        `--dest-authfile=${registry.authFile}`,
        '--dest-tls-verify=false',
        `oci:${layout}:a`,
        `docker://${registry.address}/some/image:latest`,
      ]);
      return digest;
    }

    const sourceOf = (more: Partial<OciSource> = {}): OciSource => ({
      kind: 'oci',
      image: `docker://${registry.address}/some/image:latest`,
      digest: undefined,
      authFile: registry.authFile,
      tlsVerify: false,
      ...more,
    });
    const contentOf = (): Promise<string> => readFile(join(site.tree, 'etc/content'), 'utf8');

    it('a tag is what it stands for now', async () => {
      const { facts } = await makeSourceTree(sourceOf(), site);
      expect(await contentOf()).toBe('second');
      expect(facts).toEqual({ image: sourceOf().image, digest: digests[1] });
    });

    it('a digest is that image, whatever the tag stands for', async () => {
      const [digest] = digests;
      const { facts } = await makeSourceTree(sourceOf({ digest }), site);
      expect(await contentOf()).toBe('first');
      expect(facts).toEqual({ image: sourceOf().image, digest });
      expect(await upstreamState(sourceOf({ digest }), site)).toBe(digest);
    });

    it('a new image behind the tag is noticed, quickly', async () => {
      const before = await upstreamState(sourceOf(), site);
      const startedAt = performance.now();
      expect(await upstreamState(sourceOf(), site)).toBe(before);
      expect(performance.now() - startedAt).toBeLessThan(60_000);
      await push('third');
      const after = await upstreamState(sourceOf(), site);
      expect(after).toMatch(/^[0-9a-f]{64}$/);
      expect(after).not.toBe(before);
    });

    it('without credentials it is refused, and they are told nowhere', async () => {
      const refused = makeSourceTree(sourceOf({ authFile: undefined }), site);
      const text = await refused.then(
        () => '',
        (error: unknown) => renderError(error),
      );
      expect(text).toMatch(
        /skopeo ended with exit status 1[\s\S]*(?:authentication required|unauthorized)/,
      );
      expect(await readdir(site.tree)).toEqual([]);
      expect(await upstreamState(sourceOf({ authFile: undefined }), site)).toBeUndefined();
      await makeSourceTree(sourceOf(), site);
      expect(site.lines.join('\n')).not.toContain(registry.password);
    });
  },
);
