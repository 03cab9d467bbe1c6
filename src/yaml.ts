/** YAML text → value, with the line of every key for messages. */
import { CORE_SCHEMA, Type, YAMLException, load, type Schema, type State } from 'js-yaml';
import { SettingsError } from './errors.ts';

export type YamlPath = readonly (string | number)[];

export interface YamlDocument {
  /** As messages name it. */
  readonly file: string;
  /** Undefined for a file without content. */
  readonly value: unknown;
  /** Line of the key or list item, from 1; undefined for what the file does not hold. */
  readonly lineOf: (path: YamlPath) => number | undefined;
}

/** Key of the object that stands for `!reference [job, key]` in the dialect of GitLab CI. */
export const REFERENCE = Symbol('!reference');

export interface YamlOptions {
  /**
   * `core` is YAML 1.2 without dates, merge keys and repeated keys. `gitlab-ci` takes what
   * .gitlab-ci.yml may hold: merge keys, repeated keys (the last wins) and `!reference`. `ansible`
   * takes what a playbook may hold: merge keys, repeated keys and every tag, as if it were not there.
   */
  readonly dialect?: 'core' | 'gitlab-ci' | 'ansible' | undefined;
}

/**
 * Parses one YAML document.
 * @throws SettingsError that names file, line and column.
 */
export function parseYaml(text: string, file: string, options: YamlOptions = {}): YamlDocument {
  const { dialect = 'core' } = options;
  const lines = recordLines();
  try {
    const value: unknown = load(text, {
      schema: SCHEMAS[dialect](),
      json: dialect !== 'core',
      listener: lines.listener,
    });
    return { file, value: value ?? undefined, lineOf: (path) => lineAt(lines.root(), path) };
  } catch (error) {
    throw error instanceof YAMLException ? syntaxError(error, file, text) : error;
  }
}

const SCHEMAS: Readonly<Record<NonNullable<YamlOptions['dialect']>, () => Schema>> = {
  core: () => CORE_SCHEMA,
  'gitlab-ci': () => {
    const construct = (data: unknown): unknown => ({ [REFERENCE]: data });
    return withMergeKeys([new Type('!reference', { kind: 'sequence', construct })]);
  },
  ansible: () =>
    withMergeKeys(
      (['scalar', 'sequence', 'mapping'] as const).map(
        (kind) => new Type('!', { kind, multi: true, construct: (data: unknown) => data }),
      ),
    ),
};

function withMergeKeys(explicit: Type[]): Schema {
  const resolve = (text: unknown): boolean => text === '<<';
  const merge = new Type('tag:yaml.org,2002:merge', { kind: 'scalar', resolve });
  return CORE_SCHEMA.extend({ implicit: [merge], explicit });
}

interface Mark {
  /** From 0. */
  readonly line: number;
  readonly column: number;
}

/** js-yaml's words for what people get wrong most, as they would say it. */
const REASONS: readonly (readonly [RegExp, (word: string) => string])[] = [
  [/^duplicated mapping key/, (key) => `the key ${key} stands here again`],
  [
    /^bad indentation of a mapping entry/,
    () => 'bad indentation, or a text that needs quotes for its ": " or its first character',
  ],
  [
    /a multiline key may not be an implicit key/,
    () => 'a key without its colon, in the line above',
  ],
];

function syntaxError(error: YAMLException, file: string, text: string): SettingsError {
  const mark = error.mark as Mark | undefined;
  const place = mark === undefined ? '' : ` line ${mark.line + 1}, column ${mark.column + 1}`;
  const at = text.split('\n')[mark?.line ?? 0]?.slice(mark?.column) ?? '';
  const word = JSON.stringify(/^[^\s:]*/.exec(at)?.[0] ?? '');
  const [, reason] = REASONS.find(([pattern]) => pattern.test(error.reason)) ?? [];
  return new SettingsError(`${file}${place}: ${reason?.(word) ?? error.reason}.`, {
    hint: 'Correct the YAML there; indentation is spaces, and every key stands once.',
    cause: error,
  });
}

interface Node {
  readonly line: number;
  value: unknown;
  readonly children: Node[];
  readonly entries: Map<string | number, Node>;
}

interface LineRecorder {
  readonly listener: (event: 'open' | 'close', state: State) => void;
  readonly root: () => Node | undefined;
}

/** js-yaml tells of nodes and never of paths: nodes are matched with the value when it is known. */
function recordLines(): LineRecorder {
  const open: Node[] = [];
  let root: Node | undefined;
  return {
    root: () => root,
    listener: (event, state) => {
      if (event === 'open') {
        open.push({ line: state.line + 1, value: undefined, children: [], entries: new Map() });
        return;
      }
      const node = open.pop();
      if (node === undefined) return;
      node.value = state.result;
      if (state.kind === 'mapping') matchMapping(node);
      if (state.kind === 'sequence') matchSequence(node);
      open.at(-1)?.children.push(node);
      root = node;
    },
  };
}

/** Children come as key, value, key, value; a flow mapping such as `{a, b: 1}` leaves values out. */
function matchMapping(node: Node): void {
  const mapping = node.value as Readonly<Record<string, unknown>>;
  for (let at = 0; at < node.children.length; at += 1) {
    const key = node.children[at];
    const value = node.children[at + 1];
    if (key === undefined) return;
    const name = String(key.value);
    if (!Object.hasOwn(mapping, name)) continue;
    const isPair = value !== undefined && Object.is(mapping[name], value.value);
    node.entries.set(name, isPair ? { ...value, line: key.line } : key);
    if (isPair) at += 1;
  }
}

function matchSequence(node: Node): void {
  if (!Array.isArray(node.value)) return;
  const values = node.children.map((child) => child.value);
  let from = 0;
  for (const [index, item] of node.value.entries()) {
    const at = values.indexOf(item, from);
    const child = node.children[at];
    if (child === undefined) continue;
    node.entries.set(index, child);
    from = at + 1;
  }
}

function lineAt(root: Node | undefined, path: YamlPath): number | undefined {
  let node = root;
  for (const part of path) node = node?.entries.get(part);
  return path.length === 0 ? undefined : node?.line;
}
