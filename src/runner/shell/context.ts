import type { JobResponse } from '../job.ts';
import type { Directories, ResolvedVariable } from '../variables.ts';
import type { Shell } from './frame.ts';

/** What the scripts of a job are made from. */
export interface ScriptContext {
  readonly shell: Shell;
  readonly response: JobResponse;
  readonly variables: ReadonlyMap<string, ResolvedVariable>;
  readonly directories: Directories;
  /** PROJECT.tmp: file variables, git's extra configuration, the file of $GITLAB_ENV. */
  readonly temporary: string;
  /** As the config stage names the host; undefined where it does not. */
  readonly hostname: string | undefined;
  /** `url` of config.toml. */
  readonly serverUrl: string;
}

/** The value that scripts see; empty for a variable that is not there. */
export function valueOf(context: ScriptContext, name: string): string {
  return context.variables.get(name)?.value ?? '';
}

/** GitLab's booleans: 1, t, true and 0, f, false; anything else is the fallback. */
export function isOn(context: ScriptContext, name: string, fallback: boolean): boolean {
  const value = valueOf(context, name);
  if (/^(?:1|t|true)$/i.test(value)) return true;
  return /^(?:0|f|false)$/i.test(value) ? false : fallback;
}
