/**
 * curl(1): files from a URL. All that it is told goes into a configuration, because a URL may hold
 * credentials and a command line is public.
 */
import { rm, writeFile } from 'node:fs/promises';
import { runConfined, type ConfinedRun } from './confined.ts';
import { run } from './exec.ts';

const CONNECT_TIMEOUT_SEC = 20;
/** An answer that says whether there is something new is not worth more. */
const TEXT_TIMEOUT_SEC = 15;
const TEXT_MAX_BYTES = 32 * 1024 * 1024;

export interface Download {
  /** http, https or file. */
  readonly url: string;
  readonly output?: string;
  readonly connectTimeoutSec: number;
  /** Seconds for all of it; without it a transfer may last while bytes come. */
  readonly maxTimeSec?: number;
  readonly maxBytes?: number;
  readonly retries: number;
}

/** Lines of a file for `--config`, curl(1). */
export function curlConfig(download: Download): string {
  const { url, output, connectTimeoutSec, maxTimeSec, maxBytes, retries } = download;
  const lines = [
    `url = ${quoted(url)}`,
    ...(output === undefined ? [] : [`output = ${quoted(output)}`]),
    // "[" and "{" in a URL are themselves.
    'globoff',
    'fail',
    'location',
    'silent',
    'show-error',
    'proto = "=http,https,file"',
    // A server must not send us to a file of this host.
    'proto-redir = "=http,https"',
    'netrc-optional',
    `retry = ${retries}`,
    `connect-timeout = ${connectTimeoutSec}`,
    'speed-limit = 1',
    'speed-time = 60',
    ...(maxTimeSec === undefined ? [] : [`max-time = ${maxTimeSec}`]),
    ...(maxBytes === undefined ? [] : [`max-filesize = ${maxBytes}`]),
  ];
  return `${lines.join('\n')}\n`;
}

/** curl(1), --config: within quotes a backslash escapes these. */
function quoted(text: string): string {
  return `"${text.replaceAll(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')}"`;
}

/**
 * Downloads into a new file, redirects followed.
 * @throws CommandError with curl's complaint, Stopped when `how.signal` ended it.
 */
export async function download(url: string, file: string, how: ConfinedRun): Promise<void> {
  const config = `${file}.curl`;
  const what = { url, output: file, connectTimeoutSec: CONNECT_TIMEOUT_SEC, retries: 3 };
  await writeFile(config, curlConfig(what), { mode: 0o600 });
  try {
    // --disable comes first: curl(1) then reads no configuration of root's own.
    await runConfined('curl', ['--disable', '--config', config], how);
  } finally {
    await rm(config, { force: true });
  }
}

/**
 * What a small file of text says now; bounded in time and size.
 * @throws CommandError with curl's complaint, HostError without curl, Stopped by `signal`.
 */
export async function downloadText(url: string, signal: AbortSignal): Promise<string> {
  const config = curlConfig({
    url,
    connectTimeoutSec: 5,
    maxTimeSec: TEXT_TIMEOUT_SEC,
    maxBytes: TEXT_MAX_BYTES,
    retries: 0,
  });
  const { stdout } = await run('curl', ['--disable', '--config', '-'], {
    stdin: config,
    timeoutSec: TEXT_TIMEOUT_SEC + 5,
    signal,
  });
  return stdout;
}
