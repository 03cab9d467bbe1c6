import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { clearExitCode, writeExitCode } from '../../../src/gitlab/exit-code-file.ts';

const hint =
  'GitLab Runner names it for each job; look for a full disk or a cleaner of temporary files.';
let dir = '';
let file = '';
let env = {};
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'exit-code-'));
  file = join(dir, 'build_exit_code');
  env = { BUILD_EXIT_CODE_FILE: file };
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

describe('the exit code file', () => {
  it('holds the last code and nothing else', () => {
    for (const code of [1, 255, 42]) writeExitCode(code, env);
    expect(readFileSync(file, 'utf8')).toBe('42\n');
    expect(lstatSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(dir)).toEqual(['build_exit_code']);
  });

  it('is removed, once and again', () => {
    writeExitCode(42, env);
    clearExitCode(env);
    clearExitCode(env);
    expect(readdirSync(dir)).toEqual([]);
  });

  it.each([{}, { BUILD_EXIT_CODE_FILE: '' }])('is not needed with %j', (old) => {
    writeExitCode(42, old);
    clearExitCode(old);
  });

  it('is no link', () => {
    const other = join(dir, 'other');
    writeFileSync(other, '7\n');
    symlinkSync(other, file);
    expect(() => {
      writeExitCode(42, env);
    }).toThrow(
      expect.objectContaining({
        name: 'HostError',
        message: `Exit code file "${file}" cannot be written.`,
        details: ['It is no regular file.'],
        hint,
      }),
    );
    expect(() => {
      clearExitCode(env);
    }).toThrow(
      expect.objectContaining({
        message: `Exit code file "${file}" cannot be removed.`,
        details: ['It is no regular file.'],
        hint,
      }),
    );
    expect(readFileSync(other, 'utf8')).toBe('7\n');
    expect(readdirSync(dir).sort()).toEqual(['build_exit_code', 'other']);
  });

  it('is no directory', () => {
    mkdirSync(file);
    expect(() => {
      clearExitCode(env);
    }).toThrow(expect.objectContaining({ details: ['It is no regular file.'] }));
    expect(existsSync(file)).toBe(true);
  });

  it('needs its directory', () => {
    rmSync(dir, { recursive: true });
    clearExitCode(env);
    expect(() => {
      writeExitCode(42, env);
    }).toThrow(expect.objectContaining({ name: 'HostError' }));
    mkdirSync(dir);
  });
});
