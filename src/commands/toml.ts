/** `nspawn-runner toml`: what goes into GitLab Runner's config.toml on this host. */
import { realpathSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, resolve } from 'node:path';
import { runnerSection, runnerTimeouts, templateConfig } from '../gitlab/runner-toml.ts';
import { loadSettings } from '../settings.ts';

export interface TomlArguments {
  readonly name?: string | undefined;
  readonly url?: string | undefined;
  readonly templateConfig?: boolean | undefined;
  readonly settings?: string | undefined;
}

export async function toml(args: TomlArguments): Promise<number> {
  const settings = await loadSettings(args.settings);
  const print = args.templateConfig === true ? templateConfig : runnerSection;
  process.stdout.write(
    print({
      name: args.name ?? hostname(),
      url: args.url ?? 'https://gitlab.example.com/',
      program: callablePath(process.argv[1] ?? '', process.execPath),
      settingsFile: args.settings === undefined ? undefined : resolve(args.settings),
      timeouts: runnerTimeouts(settings),
    }),
  );
  return 0;
}

/** The installed program by the name it was called by, which outlives an upgrade; else node and the bundle. */
function callablePath(calledAs: string, node: string): [string, ...string[]] {
  if (basename(calledAs) === 'nspawn-runner') return [calledAs];
  return [node, realpathSync(calledAs)];
}
