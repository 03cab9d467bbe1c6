import { describe, expect, it } from 'vitest';
import { HostError } from '../../../src/errors.ts';
import { parseProperties, parseUnits } from '../../../src/tools/systemctl.ts';

const entry = (unit: string, load: string, active: string): Record<string, string> => ({
  ...{ unit, load, active, sub: 'dead', description: 'GitLab job 7 of project 2' },
});

describe('parseUnits', () => {
  it.each(['active', 'inactive', 'activating', 'deactivating', 'failed'])(
    'of state %s',
    (active) => {
      const text = JSON.stringify([entry('nsr1-aaaaaaaa-7.service', 'loaded', active)]);
      expect(parseUnits(text)).toEqual([{ unit: 'nsr1-aaaaaaaa-7.service', active }]);
    },
  );

  it('leaves out what only another unit names', () => {
    const text = JSON.stringify([
      entry('gone.service', 'not-found', 'inactive'),
      entry('masked.service', 'masked', 'inactive'),
    ]);
    expect(parseUnits(text)).toEqual([{ unit: 'masked.service', active: 'inactive' }]);
  });

  it.each([
    ['nothing', ''],
    ['no units', '[]'],
    ['entries without what is read', '[{"unit":"a"},{"active":"active"},{"unit":1,"active":2}]'],
    ['nulls and numbers', '[null,7,"a",[]]'],
    ['something else', '{"unit":"a","active":"active"}'],
  ])('finds none in %s', (_, text) => {
    expect(parseUnits(text)).toEqual([]);
  });

  it.each(['[{"unit":"nsr1-', 'Failed to list units', '\0'])('refuses %j', (text) => {
    expect(() => parseUnits(text)).toThrow(HostError);
    expect(() => parseUnits(text)).toThrow('systemctl gave an answer that is no JSON.');
  });
});

describe('parseProperties', () => {
  it('takes one a line, and no more of a line than its first equal sign', () => {
    expect(
      parseProperties('LoadState=loaded\nEnvironment=A=b C=d\nResult=\n\nnoise\n=x\n'),
    ).toEqual({
      LoadState: 'loaded',
      Environment: 'A=b C=d',
      Result: '',
    });
  });
});
