/** Variables of a local job: what GitLab itself would do to them before a runner sees the job. */
import type { JobVariable } from '../job.ts';
import { expand } from '../variables.ts';

export interface CiVariable {
  readonly key: string;
  readonly value: string;
  /** `expand: false`. */
  readonly raw: boolean;
}

const REFERENCE = /\$\$|\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))/g;

/**
 * Puts variables into each other, however deep; what is not known stays for the runner, which knows
 * the directories. The last of one name wins; a reference in a circle is nothing.
 */
export function nestVariables(variables: readonly CiVariable[]): readonly JobVariable[] {
  const byKey = new Map(variables.map((variable) => [variable.key, variable]));
  const nest = (key: string, trail: readonly string[]): string | undefined => {
    const variable = byKey.get(key);
    if (variable === undefined) return undefined;
    if (trail.includes(key)) return '';
    // The runner expands once more and makes one dollar of two.
    if (variable.raw) return variable.value.replaceAll('$', '$$$$');
    return variable.value.replace(
      REFERENCE,
      (all: string, braced: string | undefined, plain: string | undefined) => {
        const name = braced ?? plain;
        return name === undefined ? all : (nest(name, [...trail, key]) ?? all);
      },
    );
  };
  return [...byKey.values()].map(({ key, value, raw }) =>
    raw
      ? { key, value, public: true, raw: true }
      : { key, value: nest(key, []) ?? value, public: true },
  );
}

/** Text outside of variables, such as the image's name, with the variables in it. */
export function expandText(text: string, variables: readonly JobVariable[]): string {
  const values = new Map(
    variables.map(({ key, value, raw }) => [
      key,
      raw === true ? value : expand(value, () => undefined),
    ]),
  );
  return expand(text, (name) => values.get(name));
}

/** `NAME=VALUE` of the command line; undefined for what is not. */
export function parseVariable(text: string): CiVariable | undefined {
  const [, key, value] = /^([A-Za-z_][A-Za-z0-9_]*)=([\s\S]*)$/.exec(text) ?? [];
  return key === undefined || value === undefined ? undefined : { key, value, raw: true };
}
