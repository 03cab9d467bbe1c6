/** A version is tried in a machine as jobs get it, before they get it. */
import type { Board } from '../chroot/progress.ts';
import type { Trial, TrialReport, TrialRequest } from '../chroot/put-in-place.ts';
import { machineBase } from '../machine/machine-base.ts';
import { findRunnerBinary } from '../machine/runner-binary.ts';
import { tryChroot, type TrialResult } from '../machine/trial.ts';
import type { Settings } from '../settings.ts';
import { isSystemdRunning } from '../tools/sd-booted.ts';

/** Undefined, and said on the board, where systemd does not run. */
export async function machineTrial(settings: Settings, board: Board): Promise<Trial> {
  if (!isSystemdRunning()) {
    board.say('systemd does not run here: trees are checked, and not tried in a machine.');
    return undefined;
  }
  const runnerBinary = await findRunnerBinary(settings.gitlabRunner);
  return async ({ chroot, checks, machine, signal, onLine }: TrialRequest) => {
    const base = machineBase(chroot, settings, machine);
    const { stateDir } = settings;
    return report(await tryChroot({ stateDir, base, checks, runnerBinary }, { signal, onLine }));
  };
}

function report({ bootSec, systemState, passed, failures }: TrialResult): TrialReport {
  return {
    bootSec,
    state: systemState,
    checks: passed,
    faults: failures.flatMap(({ sentence, lastLines }) => [
      sentence,
      ...lastLines.map((line) => `| ${line}`),
    ]),
  };
}
