/** What every command on chroots works with: where recipes are, how trees are tried, what jobs use. */
import { createBoard, type Board } from '../chroot/progress.ts';
import type { Trial } from '../chroot/put-in-place.ts';
import type { VersionsInUse } from '../chroot/prune.ts';
import { findChroot } from '../chroot/store.ts';
import type { FamilyPlaces } from './family.ts';
import { PLAYBOOK_DIR, shippedRecipeDir } from '../paths.ts';
import type { Settings } from '../settings.ts';
import { versionsInUse } from '../machine/versions-in-use.ts';
import { machineTrial } from './machine-trial.ts';

export interface Workshop {
  readonly settings: Settings;
  readonly places: FamilyPlaces;
  readonly trial: Trial;
  readonly inUse: () => Promise<VersionsInUse>;
  readonly board: Board;
  readonly signal: AbortSignal;
}

export function recipePlaces(settings: Settings): FamilyPlaces {
  const shipped = shippedRecipeDir();
  return {
    recipeDirs: settings.recipeDirs.filter((dir) => dir !== shipped),
    shippedDirs: settings.recipeDirs.filter((dir) => dir === shipped),
    hasChroot: async (name) => (await findChroot(settings.stateDir, name)) !== undefined,
    playbookDirs: [PLAYBOOK_DIR, settings.stateDir],
  };
}

/** Calls `work` with the terminal's board, and leaves the terminal as it was. */
export async function inWorkshop<T>(
  settings: Settings,
  signal: AbortSignal,
  work: (workshop: Workshop) => Promise<T>,
): Promise<T> {
  const board = createBoard({
    columns: process.stderr.isTTY ? process.stderr.columns : undefined,
    write: (text) => process.stderr.write(text),
    now: () => performance.now(),
  });
  try {
    return await work({
      settings,
      places: recipePlaces(settings),
      trial: await machineTrial(settings, board),
      inUse: () => versionsInUse(settings.stateDir),
      board,
      signal,
    });
  } finally {
    board.end();
  }
}
