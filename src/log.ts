/**
 * Lines for people, all on stderr: stdout belongs to the protocol and to listings.
 *
 * `say` and `warn` are the job's log in a stage and the terminal elsewhere: plain sentences, no
 * time stamp, GitLab adds its own. Levels, journal priorities and debug lines go through winston,
 * which costs a third of a bare node start and is therefore loaded only when debugging is on.
 */
import type { Logger } from 'winston';

let logger: Logger | undefined;

/** Turns on one line per external command, in the syslog levels of winston. */
export async function enableDebug(): Promise<void> {
  const { default: winston } = await import('winston');
  const levels = winston.config.syslog.levels;
  logger = winston.createLogger({
    level: 'debug',
    levels,
    format: winston.format.printf(({ level, message }) =>
      // sd-daemon(3): a "<N>" prefix is the line's priority when stderr is the journal.
      process.env['JOURNAL_STREAM'] === undefined
        ? `${level}: ${String(message)}`
        : `<${levels[level] ?? 6}>${String(message)}`,
    ),
    transports: [new winston.transports.Console({ stderrLevels: Object.keys(levels) })],
  });
}

export function debug(message: string): void {
  logger?.debug(message);
}

export function say(message: string): void {
  process.stderr.write(`${message}\n`);
}

export function warn(message: string): void {
  process.stderr.write(process.stderr.isTTY ? `\u001b[33m${message}\u001b[0m\n` : `${message}\n`);
}
