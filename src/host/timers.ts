/** Whether our timers run, and how they ended last; pure. */
import type { UnitProperties } from '../tools/systemctl.ts';
import { ok, warning, type Finding } from './finding.ts';

export interface OurTimer {
  /** Its units, without the suffix. */
  readonly name: string;
  /** What it costs to go without. */
  readonly cost: string;
}

export const TIMERS: readonly OurTimer[] = [
  {
    name: 'nspawn-runner-reap',
    cost: 'what a job leaves whose GitLab Runner died stays longer than it must',
  },
  {
    name: 'nspawn-runner-chroots',
    cost: 'chroots get no updates unless you call `nspawn-runner chroot update`',
  },
];

/** What `judgeTimer` reads of the two units. */
export const TIMER_PROPERTIES = ['LoadState', 'UnitFileState', 'ActiveState'];
export const SERVICE_PROPERTIES = ['LoadState', 'Result', 'ExecMainExitTimestamp'];

export function judgeTimer(
  ours: OurTimer,
  timer: UnitProperties,
  service: UnitProperties,
): Finding {
  return (
    presence(ours, timer, service) ??
    activity(ours, timer) ??
    lastRun(ours, service['Result'] ?? '', service['ExecMainExitTimestamp'] ?? '')
  );
}

function enable({ name }: OurTimer): string {
  return `systemctl enable --now ${name}.timer`;
}

/** systemctl(1), "is-enabled" and "show": a unit that is not there, masked or broken. */
function presence(
  ours: OurTimer,
  timer: UnitProperties,
  service: UnitProperties,
): Finding | undefined {
  const { name, cost } = ours;
  const object = `${name}.timer`;
  if (timer['LoadState'] === 'not-found' || service['LoadState'] === 'not-found') {
    return warning(object, `not installed: ${cost}`, 'Run scripts/install.');
  }
  const masked = [
    ...(timer['LoadState'] === 'masked' ? [object] : []),
    ...(service['LoadState'] === 'masked' ? [`${name}.service`] : []),
  ];
  if (masked.length > 0) {
    const todo = `\`systemctl unmask ${masked.join(' ')}\`, then \`${enable(ours)}\`.`;
    return warning(object, `masked: ${cost}`, todo);
  }
  return [timer, service].every((unit) => unit['LoadState'] === 'loaded')
    ? undefined
    : warning(
        object,
        `its unit files cannot be used: ${cost}`,
        `Look at \`systemctl status ${name}.timer ${name}.service\`.`,
      );
}

function activity(ours: OurTimer, timer: UnitProperties): Finding | undefined {
  const object = `${ours.name}.timer`;
  const isEnabled = timer['UnitFileState']?.startsWith('enabled') === true;
  if (timer['ActiveState'] !== 'active') {
    const state = isEnabled ? (timer['ActiveState'] ?? 'not active') : 'disabled';
    return warning(object, `${state}: ${ours.cost}`, `\`${enable(ours)}\``);
  }
  return isEnabled
    ? undefined
    : warning(object, 'runs, but will not after the next boot', `\`${enable(ours)}\``);
}

function lastRun({ name }: OurTimer, result: string, endedAt: string): Finding {
  const object = `${name}.timer`;
  if (result !== 'success') {
    return warning(
      object,
      `runs, but the last run failed (${result}${endedAt === '' ? '' : `, ${endedAt}`})`,
      `\`journalctl --unit=${name}.service\` says what is left and why.`,
    );
  }
  return ok(object, endedAt === '' ? 'runs; nothing is due yet' : `last run ended ${endedAt}`);
}
