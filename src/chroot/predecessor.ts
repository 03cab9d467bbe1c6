/**
 * Playbooks of the Python tool of the same name, which are the recipes of its users: debootstrap
 * makes the tree, the playbook the rest, and variables of its first play say how.
 */
import { createHash } from 'node:crypto';
import * as z from 'zod/mini';
import { fileProblems, nearest, schemaProblems, type Problem } from '../file-problems.ts';
import { LimitsMap } from '../limits-schema.ts';
import { limitsOf } from '../settings.ts';
import { parseYaml } from '../yaml.ts';
import type { ImageSettings } from './image-settings.ts';
import { nspawnArguments, type NspawnArguments } from './predecessor-arguments.ts';
import { text, yesNo } from './recipe-kinds.ts';
import { DEFAULT_KEEP, type Recipe } from './recipe.ts';
import { sourceOf } from './recipe-source.ts';
import type { Source } from './source.ts';

type RawMap = Readonly<Record<string, unknown>>;

const PREFIX = 'nspawn_runner_';
const HINT = 'Correct it; docs/moving-in.md has every variable.';
const DEFAULT_SUITE = 'unstable';
/** What the Python tool gives every machine. */
const DEFAULT_LIMITS = { cpu_weight: 50, memory_high: '30%', memory_max: '40%' };
/** Its own four, and what machines boot and fetch with. */
const PACKAGES = ['git', 'dbus', 'systemd', 'python3'];
const MORE_PACKAGES = ['systemd-sysv', 'bash', 'git-lfs', 'ca-certificates'];

const PLAY_KEYS = ['hosts', 'roles', 'tasks', 'import_playbook', 'ansible.builtin.import_playbook'];
/** The same in a file that is no YAML, so that its author is told where. */
const PLAY_LINE = /^(?:-| ) *(?:hosts|import_playbook|ansible\.builtin\.import_playbook):/m;

/** Suites that debootstrap(8) takes from Ubuntu. */
const UBUNTU = new Set(
  (
    'precise trusty utopic vivid wily xenial yakkety zesty artful bionic cosmic disco eoan focal ' +
    'groovy hirsute impish jammy kinetic lunar mantic noble oracular plucky questing'
  ).split(' '),
);

const Variables = z.object({
  chroot_suite: z.optional(text('the name of a suite, such as bookworm', /^[a-z][a-z0-9.-]*$/)),
  maint_recreate: yesNo,
  seccomp: yesNo,
  cpu_weight: LimitsMap.shape.cpu_weight,
  memory_high: LimitsMap.shape.memory_high,
  memory_max: LimitsMap.shape.memory_max,
});
/** Without their prefix. */
export const VARIABLES: readonly string[] = [...Object.keys(Variables.shape), 'args'];

/** Whether a file is a playbook, whatever else it may be: our settings are in the same directory. */
export function isPlaybook(text: string, file: string): boolean {
  try {
    const { value } = parseYaml(text, file, { dialect: 'ansible' });
    const isPlay = (item: unknown): boolean => PLAY_KEYS.some((key) => isMap(item) && key in item);
    return Array.isArray(value) && value.some(isPlay);
  } catch {
    return PLAY_LINE.test(text);
  }
}

/**
 * What a playbook makes of the name that it has.
 * @throws SettingsError with every problem of its variables.
 */
export function recipeOfPlaybook(name: string, file: string, text: string): Recipe {
  const document = parseYaml(text, file, { dialect: 'ansible' });
  const raw = withDefaults(variablesOf(document.value));
  const said = Variables.safeParse(raw);
  const { problems: argumentProblems, ...given } = nspawnArguments(raw['args']);
  const problems = [
    ...(said.success ? [] : schemaProblems(raw, said.error.issues, () => VARIABLES)),
    ...argumentProblems.map(({ path, text }) => ({ path: ['args', ...path], text })),
    ...misspelled(raw),
  ];
  if (!said.success || problems.length > 0) {
    throw fileProblems(document, problems.map(inFirstPlay), HINT);
  }
  return {
    ...withoutPlaybook(name, said.data.chroot_suite ?? DEFAULT_SUITE),
    file,
    sha256: createHash('sha256').update(text).digest('hex'),
    playbook: { file, variables: {} },
    update: said.data.maint_recreate === true ? 'rebuild' : 'refresh',
    machine: machineOf(said.data, given),
  };
}

/** What `chroot-create` makes where there is no playbook. */
export function withoutPlaybook(name: string, suite: string): Recipe {
  return {
    name,
    file: '',
    sha256: createHash('sha256').update(suite).digest('hex'),
    description: undefined,
    source: sourceOfSuite(suite),
    packages: [...PACKAGES, ...MORE_PACKAGES],
    user: undefined,
    files: [],
    script: [],
    playbook: undefined,
    environment: {},
    mask: [],
    enable: [],
    machine: machineOf(Variables.parse(withDefaults({})), { options: [] }),
    check: [],
    update: 'refresh',
    keep: DEFAULT_KEEP,
  };
}

/** As debootstrap(8) understands a suite, whichever distribution has it. */
export function sourceOfSuite(suite: string): Source {
  return sourceOf(
    UBUNTU.has(suite) ? { ubuntu: { suite } } : { debian: { suite } },
    (path) => path,
  );
}

/**
 * The variables of the first play without their prefix, in the words of YAML 1.2: Ansible reads
 * YAML 1.1, where `yes` is true.
 */
function variablesOf(playbook: unknown): RawMap {
  const first: unknown = Array.isArray(playbook) ? playbook[0] : undefined;
  const vars = isMap(first) ? first['vars'] : undefined;
  if (!isMap(vars)) return {};
  const ours = Object.entries(vars).filter(([name]) => name.startsWith(PREFIX));
  return Object.fromEntries(ours.map(([name, value]) => [name.slice(PREFIX.length), plain(value)]));
}

function plain(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  if (/^(?:y|yes|on|true)$/i.test(value)) return true;
  if (/^(?:n|no|off|false)$/i.test(value)) return false;
  if (/^(?:infinity)$/i.test(value)) return null;
  return /^\d+$/.test(value) ? Number(value) : value;
}

/** Null takes a limit away; what the operator's settings say holds then. */
function withDefaults(said: RawMap): RawMap {
  const all: RawMap = { ...DEFAULT_LIMITS, ...said };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null));
}

/** Names that a person meant for one of ours; others with the prefix are the playbook's own. */
function misspelled(said: RawMap): readonly Problem[] {
  return Object.keys(said).flatMap((name) => {
    const near = VARIABLES.includes(name) ? undefined : nearest(name, VARIABLES);
    if (near === undefined) return [];
    return [{ path: [name], text: `unknown variable; did you mean "${PREFIX}${near}"?` }];
  });
}

function inFirstPlay({ path: [name, ...deeper], text }: Problem): Problem {
  return { path: [0, 'vars', `${PREFIX}${String(name)}`, ...deeper], text };
}

function machineOf(
  said: z.output<typeof Variables>,
  { options, network, suppressSync }: Omit<NspawnArguments, 'problems'>,
): ImageSettings {
  return {
    format: 1,
    limits: limitsOf(said),
    seccomp: said.seccomp ?? false,
    network,
    suppressSync,
    nspawnOptions: options,
  };
}

function isMap(value: unknown): value is RawMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
