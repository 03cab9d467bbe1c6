/** cp(1), GNU: trees and attributes, to the letter. */
import { runConfined, type ConfinedRun } from './confined.ts';

/** A failure to keep an attribute is one: `--archive` alone says nothing of it. */
const ALL_ATTRIBUTES = ['--archive', '--preserve=xattr'];

export function copyArguments(from: string, to: string): string[] {
  return [...ALL_ATTRIBUTES, '--reflink=auto', '--no-target-directory', '--', from, to];
}

/** Copies a tree with all kinds of files, sharing blocks where the file system can. */
export async function copyWithAttributes(
  from: string,
  to: string,
  how: ConfinedRun,
): Promise<void> {
  await runConfined('cp', copyArguments(from, to), how);
}

export interface AttributeCopy {
  /** NUL-terminated names of files, relative to both directories; each begins with "./". */
  readonly namesFile: string;
  readonly from: string;
  /** Files that are not there are made, empty. */
  readonly to: string;
}

export function attributeArguments({ namesFile, from, to }: AttributeCopy): string[] {
  return [
    `--chdir=${from}`,
    'xargs',
    '--null',
    '--no-run-if-empty',
    `--arg-file=${namesFile}`,
    'cp',
    ...ALL_ATTRIBUTES,
    '--attributes-only',
    // Names of one file are dealt with one by one, and stay names of one file.
    '--no-preserve=links',
    '--parents',
    `--target-directory=${to}`,
    '--',
  ];
}

/**
 * Gives files the attributes that files of the same names have elsewhere: owner, mode, times,
 * extended ones. Names come in a file, as they may be any bytes, and many.
 */
export async function copyAttributes(copy: AttributeCopy, how: ConfinedRun): Promise<void> {
  await runConfined('env', attributeArguments(copy), how);
}
