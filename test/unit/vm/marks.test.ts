import { describe, expect, it } from 'vitest';
import { joinMarks, marksInText, marksOf } from '../../../src/vm/marks.ts';

describe('marks', () => {
  it.each([
    [['_CI_JOB_TAG=a', 'X=_CI_JOB_TAG=b', '_CI_JOB_TAG_=c', '_CI_JOB_TAG='], ['a'], []],
    [['_CI_JOB_MACHINE=m', '_CI_JOB_MACHINE=m', '_CI_JOB_TAG=a=b'], ['a=b'], ['m']],
    [[], [], []],
  ])('in entries: %j', (entries, tags, machines) => {
    expect(marksOf(entries)).toEqual({ tags, machines });
  });

  it.each([
    ['a\n  _CI_JOB_TAG=x \r\nb', ['x']],
    ['see _CI_JOB_TAG=x', []],
    ['_CI_JOB_TAG=x and more', ['x and more']],
    ['', []],
  ])('in text: %j', (text, tags) => {
    expect(marksInText(text).tags).toEqual(tags);
  });

  it('of several things are those of each', () => {
    const one = { tags: ['a'], machines: [] };
    const two = { tags: ['a', 'b'], machines: ['m'] };
    expect(joinMarks(one, two)).toEqual({ tags: ['a', 'b'], machines: ['m'] });
  });
});
