/** How a person follows a build: one line that changes on a terminal, a line for each step elsewhere. */

export interface Progress {
  /** A new step: `checking the tree`. */
  readonly step: (text: string) => void;
  /** The newest line of the tool at work. */
  readonly line: (text: string) => void;
  /** Takes the changing line away; the next thing written stands alone. */
  readonly end: () => void;
}

export interface ProgressOutput {
  /** Undefined where it is no terminal. */
  readonly columns: number | undefined;
  readonly write: (text: string) => void;
  /** Milliseconds. */
  readonly now: () => number;
}

const CLEAR_LINE = '\r\u001b[K';
const REDRAW_MS = 200;

export function createProgress(name: string, output: ProgressOutput): Progress {
  const { columns } = output;
  if (columns === undefined) {
    return {
      step: (text) => output.write(`${name}: ${text}\n`),
      line: () => undefined,
      end: () => undefined,
    };
  }
  return createLiveProgress(name, { ...output, columns });
}

function createLiveProgress(
  name: string,
  { columns, write, now }: ProgressOutput & { readonly columns: number },
): Progress {
  let current: { text: string; since: number; line: string } | undefined;
  const draw = (): void => {
    if (current === undefined) return;
    const seconds = Math.floor((now() - current.since) / 1000);
    const text = `${name}: ${current.text}, ${seconds} s  ${current.line}`;
    // The last column stays free: some terminals go to the next line when it is written.
    write(CLEAR_LINE + printable(text).slice(0, columns - 1));
  };
  // Steps that print nothing for a while still count their seconds.
  const timer = setInterval(draw, REDRAW_MS).unref();
  return {
    step: (text) => {
      current = { text, since: now(), line: '' };
      draw();
    },
    line: (text) => {
      if (current !== undefined) current.line = text.trim();
    },
    end: () => {
      clearInterval(timer);
      if (current !== undefined) write(CLEAR_LINE);
      current = undefined;
    },
  };
}

/** Control characters of a tool's output would move the cursor. */
function printable(text: string): string {
  return text.replaceAll(/[\u0000-\u001f\u007f]/g, ' ');
}
