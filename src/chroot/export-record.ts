/** What an export says of itself, as `export.json`. */
import * as z from 'zod/mini';
import { SettingsError } from '../errors.ts';
import { isChrootName, versionTime } from './store.ts';

export const EXPORT_FORMAT = 1;
/** Names of the two things in it. */
export const EXPORT_RECORD = 'export.json';
export const EXPORT_TREE = 'tree';

const schema = z.object({
  format: z.literal(EXPORT_FORMAT),
  name: z.string().check(z.refine(isChrootName)),
  version: z.string().check(z.refine((text) => versionTime(text) !== undefined)),
  /** When it was made, ISO 8601. */
  created: z.string(),
  /** tree-digest.ts. */
  digest: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  /** Of tree-list.ts, for people; nothing is decided by them. */
  bytes: z.number(),
  files: z.number(),
  /** Its version.json and machine.json, null where it had none; whoever uses them checks them. */
  versionRecord: z.unknown(),
  machine: z.unknown(),
});

export type ExportRecord = z.infer<typeof schema>;

/** @throws SettingsError when this is no such record, or one of a newer version. */
export function parseExportRecord(text: string): ExportRecord {
  const result = schema.safeParse(parseJson(text));
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new SettingsError('"export.json" is none that this version of nspawn-runner reads.', {
    details: issues,
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
