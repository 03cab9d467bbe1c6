/** Words and lines of sh; what is written here means the same to bash and dash. */

const ESCAPE = '\u001b';
const GREEN = `${ESCAPE}[32;1m`;
const YELLOW = `${ESCAPE}[0;33m`;
const RESET = `${ESCAPE}[0;m`;

/** One word that the shell reads back as it was, whatever is in it but NUL. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

export function quoteAll(words: readonly string[]): string {
  return words.map(quote).join(' ');
}

/** A command that prints one line. */
export function printLine(text: string): string {
  return `printf '%s\\n' ${quote(text)}`;
}

export function printNotice(text: string): string {
  return printLine(`${GREEN}${text}${RESET}`);
}

export function printWarning(text: string): string {
  return `${printLine(`${YELLOW}${text}${RESET}`)} >&2`;
}

/** Prints a command before it runs; of one with several lines the first. */
export function printCommand(command: string): string {
  const [first = '', ...rest] = command.trimEnd().split('\n');
  return printNotice(`$ ${first}${rest.length > 0 ? ' # collapsed multi-line command' : ''}`);
}
