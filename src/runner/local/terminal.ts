/** The job log on a terminal: what the scripts say as it is, the runner's own lines on stderr. */
import type { Writable } from 'node:stream';
import type { OutputSink } from '../events.ts';

const ESCAPE_SEQUENCE = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*[A-Za-z]`, 'g');

export interface TerminalStreams {
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable & { readonly isTTY?: boolean };
}

export function terminalSink({ stdout, stderr }: TerminalStreams): OutputSink {
  return (chunk, { stream, call }) => {
    if (call?.stage === 'config' && stream === 'stdout') return undefined;
    if (stream === 'runner') {
      const text = chunk.toString();
      return writeTo(stderr, stderr.isTTY === true ? text : text.replace(ESCAPE_SEQUENCE, ''));
    }
    return writeTo(stream === 'stdout' ? stdout : stderr, chunk);
  };
}

/** Waits for a slow reader; one that has gone is waited for no more. */
export function writeTo(stream: Writable, chunk: Buffer | string): Promise<void> | undefined {
  if (stream.destroyed || stream.writableEnded || stream.write(chunk)) return undefined;
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of EVENTS) stream.off(event, done);
      resolve();
    };
    for (const event of EVENTS) stream.once(event, done);
  });
}

const EVENTS = ['drain', 'close', 'error'] as const;
