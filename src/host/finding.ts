/** What `check` says of one thing on the host. */
export interface Finding {
  /** A host with a `fail` runs no jobs; a `warn` costs something that the finding names. */
  readonly level: 'ok' | 'warn' | 'fail';
  readonly object: string;
  readonly finding: string;
  /** The one thing to do. */
  readonly todo?: string;
}

export function ok(object: string, finding: string): Finding {
  return { level: 'ok', object, finding };
}

export function warning(object: string, finding: string, todo: string): Finding {
  return { level: 'warn', object, finding, todo };
}

export function failing(object: string, finding: string, todo: string): Finding {
  return { level: 'fail', object, finding, todo };
}

/** The findings as lines for a person, the verdict last. */
export function renderFindings(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ object }) => object.length));
  const lines = findings.flatMap(({ level, object, finding, todo }) => [
    `${level.padEnd(5)} ${object.padEnd(width)}  ${finding}`,
    ...(todo === undefined ? [] : [`${' '.repeat(6 + width)}    ${todo}`]),
  ]);
  return `${[...lines, '', verdict(findings)].join('\n')}\n`;
}

function verdict(findings: readonly Finding[]): string {
  const count = (level: Finding['level']): number =>
    findings.filter((finding) => finding.level === level).length;
  const warnings = plural(count('warn'), 'warning');
  return count('fail') === 0
    ? `This host can run jobs; ${warnings}.`
    : `This host cannot run jobs yet: ${plural(count('fail'), 'check')} failed, ${warnings}.`;
}

function plural(count: number, noun: string): string {
  return `${count === 0 ? 'no' : count} ${noun}${count === 1 ? '' : 's'}`;
}
