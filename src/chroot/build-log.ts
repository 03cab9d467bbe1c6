/** All that a build says, in a file. It never breaks the build by itself: its disk may be full. */
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { finished } from 'node:stream/promises';

export interface BuildLog {
  readonly file: string;
  readonly write: (line: string) => void;
  /** Resolves when all is written, or to why it was not. */
  readonly flush: () => Promise<Error | undefined>;
  readonly close: () => Promise<void>;
}

/** A new file: the last one may be a version's, which keeps it. */
export async function openBuildLog(file: string): Promise<BuildLog> {
  await rm(file, { force: true });
  const stream = createWriteStream(file, { mode: 0o600, flags: 'wx' });
  let failure: Error | undefined;
  // One that nobody listens to ends the whole process, and with it every other build.
  stream.on('error', (error) => (failure ??= error));
  return {
    file,
    write: (line) => {
      if (failure === undefined) stream.write(`${line}\n`);
    },
    flush: async () => {
      // The event comes only when the file is closed; who writes until then is told that it is.
      failure ??= await new Promise<Error | undefined>((resolve) =>
        stream.write('', (error) => resolve(stream.errored ?? error ?? undefined)),
      );
      return failure;
    },
    close: async () => {
      stream.end();
      // Why not has been told by `flush`.
      await finished(stream).catch(() => undefined);
    },
  };
}
