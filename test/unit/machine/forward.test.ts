import { PassThrough, Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { forward } from '../../../src/machine/forward.ts';
import type { Started } from '../../../src/tools/exec.ts';

const NONCE = '0123456789abcdef0123456789abcdef';
const MARK = `\u0001\u0002${NONCE} 3\n`;

/** Only the streams of a client are read. */
function clientWith(stdout: PassThrough, stderr: PassThrough): Started {
  return { stdout, stderr } as unknown as Started;
}

describe('forward', () => {
  it('tells the status once both streams have told it, and passes on all but the mark', async () => {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const [out, err] = [new PassThrough(), new PassThrough()];
    const forwarded = forward(clientWith(stdout, stderr), NONCE, { stdout: out, stderr: err });
    stderr.write(`warning${MARK}`);
    stdout.write('text\n');
    stdout.write(MARK);
    expect(await forwarded.ended).toBe(3);
    expect([String(out.read()), String(err.read())]).toEqual(['text\n', 'warning']);
    expect(forwarded.lastOfStderr()).toBe('warning');
  });

  it('goes on without a reader that has gone while it waited for it', async () => {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const broken = new Writable({
      highWaterMark: 1,
      write: (_chunk, _encoding, done) => setImmediate(done, new Error('EPIPE')),
    });
    broken.on('error', () => undefined);
    const forwarded = forward(clientWith(stdout, stderr), NONCE, {
      stdout: broken,
      stderr: new PassThrough(),
    });
    stderr.write(MARK);
    for (let i = 0; i < 100; i += 1) stdout.write('x'.repeat(10_000));
    stdout.write(MARK);
    expect(await forwarded.ended).toBe(3);
  });
});
