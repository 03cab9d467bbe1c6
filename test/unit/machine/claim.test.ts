import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  claimedMachines,
  claimPath,
  claimsDirectory,
  readClaim,
  removeClaim,
  writeClaim,
} from '../../../src/machine/claim.ts';
import { jobDirectory } from '../../../src/machine/job-directory.ts';
import { aRecord, MACHINE, OTHER } from '../reaper/made-up.ts';

let stateDir = '';
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'claim-test-'));
  mkdirSync(jobDirectory(stateDir, MACHINE).path, { recursive: true });
});
afterEach(() => rmSync(stateDir, { recursive: true }));

describe('a claim', () => {
  it('is a copy of the record, for nobody else', () => {
    writeClaim(stateDir, aRecord());
    expect(readClaim(stateDir, MACHINE)).toEqual(aRecord());
    expect(statSync(claimsDirectory(stateDir)).mode & 0o777).toBe(0o700);
    expect(statSync(claimPath(stateDir, MACHINE)).mode & 0o777).toBe(0o600);
    expect(claimedMachines(stateDir)).toEqual([MACHINE]);
  });

  it('stays when the job’s directory has gone, and is replaced by the next attempt’s', () => {
    writeClaim(stateDir, aRecord());
    const { path } = jobDirectory(stateDir, MACHINE);
    rmSync(path, { recursive: true });
    expect(readClaim(stateDir, MACHINE)?.attempt).toBe('a1');
    mkdirSync(path);
    writeClaim(stateDir, aRecord({ attempt: 'a2' }));
    expect(readClaim(stateDir, MACHINE)?.attempt).toBe('a2');
  });

  it('of a prepare that is killed leaves nothing that would not go with the job’s directory', () => {
    // Where a rename cannot work, nothing else is done behind the writing either.
    mkdirSync(claimPath(stateDir, MACHINE), { recursive: true });
    expect(() => writeClaim(stateDir, aRecord())).toThrow();
    expect(readdirSync(claimsDirectory(stateDir))).toEqual([`${MACHINE}.json`]);
    expect(readdirSync(jobDirectory(stateDir, MACHINE).path)).toEqual(['claim.json.new']);
  });

  it('goes once, and again is no failure', () => {
    writeClaim(stateDir, aRecord());
    removeClaim(stateDir, MACHINE);
    removeClaim(stateDir, MACHINE);
    expect(claimedMachines(stateDir)).toEqual([]);
    expect(readClaim(stateDir, MACHINE)).toBeUndefined();
  });

  it('that is torn is one, and says nothing', () => {
    writeClaim(stateDir, aRecord());
    writeFileSync(claimPath(stateDir, MACHINE), '{"format":1');
    expect(claimedMachines(stateDir)).toEqual([MACHINE]);
    expect(readClaim(stateDir, MACHINE)).toBeUndefined();
  });
});

describe('claimedMachines', () => {
  it('knows none without a directory', () => {
    expect(claimedMachines(join(stateDir, 'none'))).toEqual([]);
  });

  it('takes only names of ours', () => {
    mkdirSync(claimsDirectory(stateDir));
    for (const name of [
      `${OTHER}.json`,
      'debian.json',
      `${MACHINE}.json.bak`,
      `x${MACHINE}.json`,
    ]) {
      writeFileSync(join(claimsDirectory(stateDir), name), '');
    }
    expect(claimedMachines(stateDir)).toEqual([OTHER]);
  });
});
