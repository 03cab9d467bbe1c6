/** Entry: signals become one AbortSignal, the outcome becomes the exit status. */
import { callsStage, runCli } from './cli.ts';
import { renderError } from './render-error.ts';
import { failureStatus } from './gitlab/exit-status.ts';

const stop = new AbortController();

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.on(signal, () => {
    // GitLab Runner repeats nothing; a person who asks twice wants out.
    if (signal === 'SIGINT' && stop.signal.aborted) process.exit(130);
    stop.abort(signal);
  });
}
// A runner that drains is sent SIGQUIT, and with systemd's default KillMode so are we.
process.on('SIGQUIT', () => undefined);
for (const stream of [process.stdout, process.stderr]) {
  // The reader may go before we do; the work goes on without it.
  stream.on('error', () => undefined);
}

const argv = process.argv.slice(2);

runCli(argv, stop.signal).then(end, (error: unknown) => {
  process.stderr.write(renderError(error));
  end(failureStatus(error, callsStage(argv), process.env));
});

/** Ends at once when all is written: a timer that nobody needs any more must not hold a stage. */
function end(status: number): void {
  process.exitCode = status;
  process.stdout.write('', () => {
    process.stderr.write('', () => process.exit());
  });
}
