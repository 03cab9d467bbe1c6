/** An OCI image layout, opencontainers/image-spec "image-layout.md": what its one image says. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { HostError } from '../../errors.ts';

const Digest = z.string().check(z.regex(/^sha256:[0-9a-f]{64}$/));
const Index = z.object({ manifests: z.array(z.object({ digest: Digest })) });
const Manifest = z.object({ config: z.object({ digest: Digest }) });
const Config = z.object({
  config: z.nullish(z.object({ Env: z.nullish(z.array(z.string())) })),
});

/**
 * The variables that the image sets for its processes.
 * @throws HostError for a layout that skopeo(1) did not make.
 */
export async function environmentOfLayout(
  layout: string,
): Promise<Readonly<Record<string, string>>> {
  const index = await read(layout, 'index.json', Index);
  const digest = index.manifests[0]?.digest;
  if (digest === undefined) throw strange(join(layout, 'index.json'), undefined);
  const manifest = await read(layout, blob(digest), Manifest);
  const { config } = await read(layout, blob(manifest.config.digest), Config);
  return environmentOf(config?.Env ?? []);
}

/** `NAME=value` entries; what systemd cannot have as a variable is left out. */
export function environmentOf(entries: readonly string[]): Readonly<Record<string, string>> {
  const pairs = entries.flatMap((entry): [string, string][] => {
    const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=([^\0\n]*)$/.exec(entry) ?? [];
    return name === undefined || value === undefined ? [] : [[name, value]];
  });
  return Object.fromEntries(pairs);
}

function blob(digest: string): string {
  return join('blobs', ...digest.split(':'));
}

async function read<T>(layout: string, name: string, schema: z.ZodMiniType<T>): Promise<T> {
  const path = join(layout, name);
  try {
    return schema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (cause) {
    throw strange(path, cause);
  }
}

function strange(path: string, cause: unknown): HostError {
  return new HostError(`"${path}" is not what an OCI layout has there.`, {
    details: cause instanceof Error ? [cause.message] : [],
    hint: 'Look whether skopeo on this host is one of a kind; report it if not.',
    cause,
  });
}
