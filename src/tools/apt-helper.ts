/** apt-helper: apt's own downloader, so that its proxies, certificates and credentials hold, apt.conf(5). */
import { readFile } from 'node:fs/promises';
import { run } from './exec.ts';

/** Not in the PATH: part of package apt, for its own scripts and for those who know. */
const APT_HELPER = '/usr/lib/apt/apt-helper';
const TIMEOUT_SEC = 30;

export interface AptDownload {
  /** Of any kind that apt has a method for. */
  readonly url: string;
  /** Missing; for a file:// URL it becomes a link to that file. */
  readonly file: string;
  /** apt.conf(5); read after the host's own. */
  readonly configFile: string;
}

export function aptDownloadArguments({ url, file, configFile }: AptDownload): string[] {
  return [
    `--config-file=${configFile}`,
    // The file lies where root alone may enter.
    '--option=APT::Sandbox::User=root',
    '--option=Acquire::Retries=0',
    '--option=Acquire::http::Timeout=10',
    'download-file',
    url,
    file,
  ];
}

/**
 * The text of a small file.
 * @throws CommandError where it cannot be had, HostError where there is no apt, Stopped by `signal`.
 */
export async function aptDownloadText(what: AptDownload, signal: AbortSignal): Promise<string> {
  await run(APT_HELPER, aptDownloadArguments(what), { timeoutSec: TIMEOUT_SEC, signal });
  return readFile(what.file, 'utf8');
}
