/** `nspawn-runner chroot export` and `chroot import`: chroots that go from host to host. */
export interface ChrootExportArguments {
  readonly name: string;
  readonly file?: string | undefined;
  readonly force?: boolean | undefined;
  readonly settings?: string | undefined;
}
export interface ChrootImportArguments {
  readonly source: string;
  readonly name?: string | undefined;
  readonly sha256?: string | undefined;
  readonly settings?: string | undefined;
}
export function chrootExport(_args: ChrootExportArguments, _signal: AbortSignal): Promise<number> {
  return Promise.resolve(1);
}
export function chrootImport(_args: ChrootImportArguments, _signal: AbortSignal): Promise<number> {
  return Promise.resolve(1);
}
