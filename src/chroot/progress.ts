/** How a person follows builds: lines that change on a terminal, a line for each step elsewhere. */

export interface Progress {
  /** A new step: `checking the tree`. */
  readonly step: (text: string) => void;
  /** The newest line of the tool at work. */
  readonly line: (text: string) => void;
}

export interface Board {
  /** One more line, for a chroot at work. */
  readonly open: (name: string) => Progress;
  /** Takes the line of a chroot away. */
  readonly close: (name: string) => void;
  /** A line that stays, above those that change. */
  readonly say: (text: string) => void;
  /** Takes all changing lines away; the next thing written stands alone. */
  readonly end: () => void;
}

export interface ProgressOutput {
  /** Undefined where it is no terminal. */
  readonly columns: number | undefined;
  readonly write: (text: string) => void;
  /** Milliseconds. */
  readonly now: () => number;
}

interface Row {
  readonly name: string;
  text: string;
  since: number;
  line: string;
}

const CLEAR_BELOW = '\r\u001b[J';
const REDRAW_MS = 200;

export function createBoard(output: ProgressOutput): Board {
  const { columns, write } = output;
  return columns === undefined ? plainBoard(write) : liveBoard({ ...output, columns });
}

function plainBoard(write: (text: string) => void): Board {
  return {
    open: (name) => ({ step: (text) => write(`${name}: ${text}\n`), line: () => undefined }),
    close: () => undefined,
    say: (text) => write(`${text}\n`),
    end: () => undefined,
  };
}

function liveBoard({ columns, write, now }: ProgressOutput & { readonly columns: number }): Board {
  const rows: Row[] = [];
  let drawn = 0;
  const clear = (): string => {
    const up = drawn > 1 ? `\u001b[${drawn - 1}A` : '';
    const text = drawn === 0 ? '' : `${up}${CLEAR_BELOW}`;
    drawn = 0;
    return text;
  };
  const draw = (before = ''): void => {
    const lines = rows.filter((row) => row.text !== '').map((row) => rowText(row, now(), columns));
    const text = clear() + before + lines.join('\n');
    drawn = lines.length;
    if (text !== '') write(text);
  };
  // Steps that print nothing for a while still count their seconds.
  const timer = setInterval(() => draw(), REDRAW_MS).unref();
  return {
    open: (name) => {
      const row: Row = { name, text: '', since: now(), line: '' };
      rows.push(row);
      return {
        step: (text) => {
          Object.assign(row, { text, since: now(), line: '' });
          draw();
        },
        line: (text) => {
          row.line = text.trim();
        },
      };
    },
    close: (name) => {
      const at = rows.findIndex((row) => row.name === name);
      if (at >= 0) rows.splice(at, 1);
      draw();
    },
    say: (text) => draw(`${text}\n`),
    end: () => {
      clearInterval(timer);
      const text = clear();
      rows.length = 0;
      if (text !== '') write(text);
    },
  };
}

/** The last column stays free: some terminals go to the next line when it is written. */
function rowText({ name, text, since, line }: Row, now: number, columns: number): string {
  const seconds = Math.floor((now - since) / 1000);
  return fit(printable(`${name}: ${text}, ${seconds} s  ${line}`), columns - 1);
}

/** Control characters of a tool's output would move the cursor. */
function printable(text: string): string {
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
}

/** Letters from Korean on may take two columns; none takes more. */
function fit(text: string, columns: number): string {
  let left = columns;
  const end = Array.from(text).findIndex((letter) => {
    left -= letter < '\u1100' ? 1 : 2;
    return left < 0;
  });
  return end < 0 ? text : Array.from(text).slice(0, end).join('');
}
