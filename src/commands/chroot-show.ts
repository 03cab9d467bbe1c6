/** `nspawn-runner chroot list` and `chroot show`: what is there. */
import { listChroots, type Chroot } from '../chroot/store.ts';
import { say } from '../log.ts';
import { requireRoot } from '../root.ts';
import { loadSettings } from '../settings.ts';
import { chrootFacts, type ChrootFacts, type VersionFacts } from '../upkeep/chroot-facts.ts';
import { requireChroot } from '../upkeep/require-chroot.ts';

export interface ChrootShowArguments {
  readonly settings?: string | undefined;
  readonly json?: boolean | undefined;
}

const MIB = 1024 * 1024;

/** Lists the chroots that jobs can use. */
export async function chrootList(args: ChrootShowArguments): Promise<number> {
  const settings = await loadSettings(args.settings);
  requireRoot('chroot list');
  const { stateDir } = settings;
  const chroots = await listChroots(stateDir);
  const facts = await Promise.all(chroots.map((chroot) => chrootFacts(chroot, settings)));
  if (args.json === true) {
    const rows = chroots.map(({ name, version, createdAt, path }, index) => ({
      ...{ name, version, created: createdAt.toISOString(), path },
      bytes: current(facts[index])?.record?.bytes ?? null,
      versions: facts[index]?.versions.length ?? 1,
      jobs: jobsOf(facts[index]),
    }));
    process.stdout.write(`${JSON.stringify(rows, undefined, 2)}\n`);
  } else if (chroots.length === 0) {
    say(`There are no chroots in "${stateDir}"; make one with: nspawn-runner chroot create NAME`);
  } else {
    process.stdout.write(table(listRows(chroots, facts, new Date())));
  }
  return 0;
}

/** Everything that is known of one. */
export async function chrootShow(
  args: ChrootShowArguments & { readonly name: string },
): Promise<number> {
  const settings = await loadSettings(args.settings);
  requireRoot('chroot show');
  const facts = await chrootFacts(await requireChroot(args.name, settings), settings);
  process.stdout.write(
    args.json === true ? `${JSON.stringify(facts, undefined, 2)}\n` : page(facts, new Date()),
  );
  return 0;
}

function listRows(
  chroots: readonly Chroot[],
  facts: readonly ChrootFacts[],
  now: Date,
): readonly (readonly string[])[] {
  const rows = chroots.map((chroot, index) => [
    chroot.name,
    chroot.version,
    age(chroot.createdAt, now),
    size(current(facts[index])),
    String(facts[index]?.versions.length ?? 1),
    String(jobsOf(facts[index])),
  ]);
  return [['NAME', 'VERSION', 'AGE', 'SIZE', 'VERSIONS', 'JOBS'], ...rows];
}

function page(facts: ChrootFacts, now: Date): string {
  const { record, fault } = current(facts) ?? {};
  const lines: [string, string | undefined][] = [
    ['Name', facts.name],
    ['Tree', facts.path],
    ['Recipe', facts.recipe ?? 'none: it was imported, or its recipe has gone'],
    ['Made by', record?.origin],
    ['Extends', record?.parent && `${record.parent.name}, version ${record.parent.version}`],
    ['Source', record && Object.entries(record.source).map(pair).join(', ')],
    ['Trial', record && trial(record.trial)],
    ['Environment', record && Object.entries(record.environment).map(pair).join(' ')],
    ['Machines', machineLine(facts)],
    ['Set-user-ID', record?.setuid.join(' ')],
    ['Fault', fault],
  ];
  const known = lines.filter(([, value]) => value !== undefined && value !== '');
  const width = Math.max(...known.map(([key]) => key.length)) + 2;
  const head = known.map(([key, value]) => `${`${key}:`.padEnd(width)} ${value ?? ''}\n`).join('');
  const versions = facts.versions.map((one) => [
    one.version,
    age(new Date(one.created ?? 0), now),
    size(one),
    one.record?.origin ?? '',
    one.isCurrent ? 'current' : '',
    one.machines.join(' '),
  ]);
  return `${head}\n${table([['VERSION', 'AGE', 'SIZE', 'ORIGIN', '', 'MACHINES'], ...versions])}`;
}

function trial(
  found: NonNullable<VersionFacts['record']>['trial'] | undefined,
): string | undefined {
  if (found === undefined) return 'none: systemd did not run where it was made';
  return `${found.state} after ${found.bootSec.toFixed(2)} s; passed: ${found.checks.join(', ')}`;
}

function machineLine({ machine }: ChrootFacts): string | undefined {
  const said = Object.entries(machine).filter(([key]) => key !== 'format');
  return said.length === 0 ? undefined : JSON.stringify(Object.fromEntries(said));
}

function pair([key, value]: [string, string]): string {
  return `${key}=${value}`;
}

function current(facts: ChrootFacts | undefined): VersionFacts | undefined {
  return facts?.versions.find(({ isCurrent }) => isCurrent);
}

function jobsOf(facts: ChrootFacts | undefined): number {
  return facts?.versions.reduce((sum, { machines }) => sum + machines.length, 0) ?? 0;
}

function size(version: VersionFacts | undefined): string {
  const bytes = version?.record?.bytes;
  return bytes === undefined ? '?' : `${Math.ceil(bytes / MIB)} MiB`;
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '))
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}

/** In the largest unit that gives a number. */
function age(createdAt: Date, now: Date): string {
  const minutes = Math.max(0, Math.floor((now.getTime() - createdAt.getTime()) / 60_000));
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h`;
  return `${Math.floor(minutes / (24 * 60))} d`;
}
