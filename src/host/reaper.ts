/** Whether something looks for what dead jobs left; pure. */
import type { UnitProperties } from '../tools/systemctl.ts';
import { ok, warning, type Finding } from './finding.ts';

export const REAP_TIMER = 'nspawn-runner-reap.timer';
export const REAP_SERVICE = 'nspawn-runner-reap.service';

/** What `judgeReaper` reads of the two units. */
export const REAP_TIMER_PROPERTIES = ['LoadState', 'UnitFileState', 'ActiveState'];
export const REAP_SERVICE_PROPERTIES = ['LoadState', 'Result', 'ExecMainExitTimestamp'];

const ENABLE = `systemctl enable --now ${REAP_TIMER}`;
const COST = 'what a job leaves whose GitLab Runner died stays longer than it must';

export function judgeReaper(timer: UnitProperties, service: UnitProperties): Finding {
  return (
    presence(timer, service) ??
    activity(timer) ??
    lastRun(service['Result'] ?? '', service['ExecMainExitTimestamp'] ?? '')
  );
}

/** systemctl(1), "is-enabled" and "show": a unit that is not there, masked or broken. */
function presence(timer: UnitProperties, service: UnitProperties): Finding | undefined {
  if (timer['LoadState'] === 'not-found' || service['LoadState'] === 'not-found') {
    return warning(REAP_TIMER, `not installed: ${COST}`, 'Run scripts/install.');
  }
  const masked = [
    ...(timer['LoadState'] === 'masked' ? [REAP_TIMER] : []),
    ...(service['LoadState'] === 'masked' ? [REAP_SERVICE] : []),
  ];
  if (masked.length > 0) {
    const todo = `\`systemctl unmask ${masked.join(' ')}\`, then \`${ENABLE}\`.`;
    return warning(REAP_TIMER, `masked: ${COST}`, todo);
  }
  return [timer, service].every((unit) => unit['LoadState'] === 'loaded')
    ? undefined
    : warning(
        REAP_TIMER,
        `its unit files cannot be used: ${COST}`,
        `Look at \`systemctl status ${REAP_TIMER} ${REAP_SERVICE}\`.`,
      );
}

function activity(timer: UnitProperties): Finding | undefined {
  const isEnabled = timer['UnitFileState']?.startsWith('enabled') === true;
  if (timer['ActiveState'] !== 'active') {
    const state = isEnabled ? (timer['ActiveState'] ?? 'not active') : 'disabled';
    return warning(REAP_TIMER, `${state}: ${COST}`, `\`${ENABLE}\``);
  }
  return isEnabled
    ? undefined
    : warning(REAP_TIMER, 'runs, but will not after the next boot', `\`${ENABLE}\``);
}

function lastRun(result: string, endedAt: string): Finding {
  if (result !== 'success') {
    return warning(
      REAP_TIMER,
      `runs, but the last run failed (${result}${endedAt === '' ? '' : `, ${endedAt}`})`,
      `\`journalctl --unit=${REAP_SERVICE}\` says what is left and why.`,
    );
  }
  return ok(REAP_TIMER, endedAt === '' ? 'runs; nothing is due yet' : `last run ended ${endedAt}`);
}
