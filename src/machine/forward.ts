/** Passes a script's output on, stream by stream, until each has said that the script ended. */
import type { Started } from '../tools/exec.ts';
import { EndMark } from './end-mark.ts';

const STDERR_TAIL_BYTES = 4096;

export interface Forwarded {
  /** Resolves with the script's exit status when both streams have told it and all was passed on. */
  readonly ended: Promise<number>;
  /** Resolves when both streams are over, told or not. */
  readonly closed: Promise<void>;
  /** The exit status, if it was told by now. */
  status(): number | undefined;
  lastOfStderr(): string;
  /** Lets go of the streams: their writers in the machine find no reader any more. */
  close(): void;
}

interface Sink {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
}

export function forward(client: Started, nonce: string, sink: Sink): Forwarded {
  let tail = Buffer.alloc(0);
  const out = forwardOne(client.stdout, new EndMark(nonce), sink.stdout);
  const err = forwardOne(client.stderr, new EndMark(nonce), sink.stderr, (chunk) => {
    tail = Buffer.concat([tail, chunk]).subarray(-STDERR_TAIL_BYTES);
  });
  let status: number | undefined;
  const ended = new Promise<number>((resolve) => {
    void Promise.all([out.marked, err.marked]).then(([first]) => {
      status = first;
      resolve(first);
    });
  });
  return {
    ended,
    closed: Promise.all([out.closed, err.closed]).then(() => undefined),
    status: () => status,
    lastOfStderr: () => tail.toString(),
    close: () => {
      out.close();
      err.close();
    },
  };
}

interface One {
  readonly marked: Promise<number>;
  readonly closed: Promise<void>;
  close(): void;
}

function forwardOne(
  source: NodeJS.ReadableStream | null,
  mark: EndMark,
  sink: NodeJS.WritableStream,
  onChunk?: (chunk: Buffer) => void,
): One {
  const stream = source as (NodeJS.ReadableStream & { destroy(): void }) | null;
  let tell: (status: number) => void;
  const marked = new Promise<number>((resolve) => (tell = resolve));
  const closed = new Promise<void>((resolve) => {
    if (stream === null) {
      resolve();
      return;
    }
    let isSinkGone = false;
    const resume = (): void => void stream.resume();
    // A sink that has failed never drains: without this the script would wait for a dead runner.
    sink.once('error', () => {
      isSinkGone = true;
      resume();
    });
    const pass = (output: Buffer): void => {
      if (output.length === 0) return;
      onChunk?.(output);
      if (!isSinkGone && !sink.write(output)) {
        stream.pause();
        sink.once('drain', resume);
      }
    };
    stream.on('data', (chunk: Buffer) => {
      const { output, status } = mark.push(chunk);
      pass(output);
      if (status === undefined) return;
      stream.destroy();
      tell(status);
      resolve();
    });
    stream.on('end', () => {
      pass(mark.rest());
      resolve();
    });
    stream.on('error', () => resolve());
    stream.on('close', () => resolve());
  });
  return { marked, closed, close: () => stream?.destroy() };
}
