/** What an export says of itself, before it is looked at closely. */
import { CommandError, SettingsError } from '../errors.ts';
import { firstMember } from '../tools/tar-tree.ts';
import { EXPORT_RECORD, parseExportRecord, type ExportRecord } from './export-record.ts';

/** @throws SettingsError for a file that is no export. */
export async function peekExport(file: string, signal: AbortSignal): Promise<ExportRecord> {
  try {
    return parseExportRecord(await firstMember(file, EXPORT_RECORD, signal));
  } catch (error) {
    if (!(error instanceof CommandError) && !(error instanceof SettingsError)) throw error;
    throw new SettingsError(`"${file}" is no export of a chroot.`, {
      details: error instanceof CommandError ? [error.command.stderrTail] : error.details,
      hint: 'Import what `nspawn-runner chroot export` wrote; an archive of another kind is the source of a recipe, `tar:`.',
      cause: error,
    });
  }
}
