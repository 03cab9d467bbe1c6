import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseDomain, parsePool } from '../../../src/vm/domain-xml.ts';

const fixture = (name: string): string =>
  readFileSync(join(import.meta.dirname, 'fixtures', name), 'utf8');

/** Captured: `virsh dumpxml` and `virsh pool-dumpxml` of Debian 12 and 13. */
const VERSIONS = ['9.0', '11.3'];

describe.each(VERSIONS)('the XML of libvirt %s', (version) => {
  const domain = parseDomain(fixture(`domain-running-${version}.xml`));

  it('tells the marks in description and metadata, and imitates nothing', () => {
    expect(domain.name).toBe('full');
    expect(domain.marks).toEqual({
      tags: ['runner-3-project-4-concurrent-0-77'],
      machines: ['nsr1-aaaaaaaa-1'],
    });
  });

  it('tells the disks that are written to, without what they are based on', () => {
    expect(domain.disks).toEqual([
      { file: "/srv/builds/group/project/it's <one> & more.qcow2" },
      { pool: 'builds', volume: 'second.qcow2' },
    ]);
    expect(domain.pools).toEqual(['builds']);
  });

  it('tells every file that must not be taken from it', () => {
    expect(domain.allFiles).toEqual(
      expect.arrayContaining([
        '/srv/builds/group/project/base.qcow2',
        '/srv/builds/group/project/installer.iso',
      ]),
    );
    expect(domain.allFiles).not.toContain('/srv/other/disk.qcow2');
  });

  it('tells where a pool is', () => {
    expect(parsePool(fixture(`pool-${version}.xml`))).toEqual({
      name: 'builds',
      path: '/srv/builds/group/project/pool',
    });
  });
});

describe('firmware variables', () => {
  it.each([
    ['<nvram>/a/b</nvram>', '/a/b'],
    ["<nvram template='/t'>/a/b</nvram>", '/a/b'],
    ["<nvram type='file'><source file='/a/b'/></nvram>", '/a/b'],
    ['', undefined],
  ])('%s', (nvram, expected) => {
    expect(parseDomain(`<domain><os>${nvram}</os></domain>`).nvram).toBe(expected);
  });
});

describe('a disk', () => {
  it.each([
    ["<disk><source file='/a'/></disk>", [{ file: '/a' }]],
    ["<disk device='lun'><source dev='/dev/x'/></disk>", [{ file: '/dev/x' }]],
    ["<disk device='floppy'><source file='/a'/></disk>", []],
    ["<disk device='cdrom'><source file='/a'/></disk>", []],
    ["<disk><source file='/a'/><readonly/></disk>", []],
    ["<disk><source protocol='nbd' name='x'/></disk>", []],
    ["<disk><source pool='p'/></disk>", []],
    ['<disk/>', []],
  ])('%s', (xml, expected) => {
    expect(parseDomain(`<domain><devices>${xml}</devices></domain>`).disks).toEqual(expected);
  });

  it('is none in metadata that looks like one', () => {
    const xml =
      "<domain><metadata><domain><devices><disk><source file='/a'/></disk></devices></domain></metadata></domain>";
    expect(parseDomain(xml).disks).toEqual([]);
  });
});
