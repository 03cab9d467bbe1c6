/** What tools say is partly what jobs wrote: nothing of it may crash us or point at another's machine. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Failure } from '../../../src/errors.ts';
import { parsePasswd } from '../../../src/tools/getent.ts';
import {
  parseDisks,
  parseHostOnlyInterfaces,
  parseMachine,
  parseMachines,
} from '../../../src/tools/vboxmanage.ts';
import { parseUuids } from '../../../src/tools/virsh.ts';
import { parseDomain, parsePool } from '../../../src/vm/domain-xml.ts';
import { chooseVictims } from '../../../src/vm/ownership.ts';
import { parseMachineIndex } from '../../../src/vm/vagrant-index.ts';
import type { VirtualMachine, VmClaim } from '../../../src/vm/virtual-machine.ts';
import { describe as describeMachine } from '../../../src/vm/virtualbox.ts';
import { fuzz } from '../fuzz.ts';

/** In each of the three tests. */
const CASES = 3_400;
const PERSON = '0f6c1c55-7a33-4c3e-9c47-2d1b2f0c9a01';
const PERSON_DISK = '0f6c1c55-7a33-4c3e-9c47-2d1b2f0c9a02';
const JOB = '6a3d6c2f-1111-4c3e-9c47-2d1b2f0c9a03';
const JOB_DISK = '6a3d6c2f-1111-4c3e-9c47-2d1b2f0c9a04';
const TAG = 'runner-1-project-2-concurrent-0-3';
const dead: VmClaim = { machine: 'nsr1-aaaaaaaa-3', tag: TAG, directories: ['/builds/job'] };
const account = { name: 'ci', uid: 1, home: '/home/ci' };

const fixture = (name: string): string =>
  readFileSync(join(import.meta.dirname, 'fixtures', name), 'utf8');

/** Pieces of what tools say, which a job may write where it names something. */
const PIECES = [
  '"',
  '\\',
  '\n',
  '\n\n',
  '\r\n',
  '=',
  "'",
  '<',
  '>',
  '&',
  ']]>',
  '<!--',
  '{',
  '}',
  '\0',
  'é',
  '\u{1f600}',
  '/builds/job/x',
  '/home/me/mine.vdi',
  '_CI_JOB_TAG=',
  TAG,
  'CfgFile=',
  'UUID:           ',
  'Location:       ',
  'name="',
  'VMState="running"',
  '"SATA-ImageUUID-0-0"=',
  '"SATA-0-0"=',
  PERSON,
  PERSON_DISK,
  `" {${PERSON}}`,
  "<source file='/builds/job/x'/>",
  '</description>',
  '<disk>',
  'x',
  ' ',
];

describe('what tools of virtual machines say', () => {
  it('crashes nobody, whatever becomes of it', () => {
    const { below, pick } = fuzz('outputs of VM tools');
    const parsers: readonly [string, (text: string) => unknown][] = [
      [`"a b" {${JOB}}\n"<inaccessible>" {${PERSON}}\n`, parseMachines],
      [machineText(PERSON, 'a', 'b'), (text) => parseMachine(text, PERSON)],
      [diskText(PERSON_DISK, '/home/me/mine.vdi') + diskText(JOB_DISK, '/builds/x'), parseDisks],
      ['Name:            vboxnet0\nDHCP:            Disabled\n\n', parseHostOnlyInterfaces],
      [`${JOB}\n${PERSON}\n`, parseUuids],
      [fixture('domain-running-11.3.xml'), parseDomain],
      [fixture('pool-9.0.xml'), parsePool],
      [
        `{"version":1,"machines":{"${'0'.repeat(32)}":{"name":"a","vagrantfile_path":"/a"}}}`,
        (t) => parseMachineIndex(t, 'i'),
      ],
      ['root:x:0:0:root:/root:/bin/bash\n', parsePasswd],
    ];
    for (let round = 0; round < CASES; round++) {
      const [text, parse] = pick(parsers);
      const broken = mutate(text, below, pick);
      try {
        parse(broken);
      } catch (error) {
        expect(error, broken).toBeInstanceOf(Failure);
      }
    }
  });

  it('never makes a person’s machine a job’s', () => {
    const { below, pick } = fuzz('hostile VirtualBox machines');
    for (let round = 0; round < CASES; round++) {
      const hostile = (): string => Array.from({ length: below(8) }, () => pick(PIECES)).join('');
      const name = hostile();
      const list = `"${name}" {${JOB}}\n"mine" {${PERSON}}\n"${hostile()}" {${JOB}}\n`;
      expect(parseMachines(list), list).toEqual(expect.arrayContaining([JOB, PERSON]));
      const texts = new Map([
        [PERSON, machineText(PERSON, 'mine', '/home/me/mine.vdi', 'mine')],
        [JOB, machineText(JOB, name, `/builds/job/${hostile()}`, hostile())],
      ]);
      const found = [...texts].map(([id, text]) => seen(id, text));
      const { victims } = chooseVictims(found, [dead], []);
      expect(victims.map(({ vm }) => vm.id)).not.toContain(PERSON);
      const disks = parseDisks(
        diskText(JOB_DISK, `/builds/job/${hostile()}`) +
          diskText(PERSON_DISK, '/home/me/mine.vdi') +
          diskText(JOB_DISK, `/builds/job/${hostile()}`),
      );
      for (const { id, location } of disks) {
        if (id === PERSON_DISK) expect(location).toBe('/home/me/mine.vdi');
      }
    }
  });

  it('never gives a domain more disks than it has', () => {
    const { below, pick } = fuzz('hostile domains');
    for (let round = 0; round < CASES; round++) {
      const hostile = (): string =>
        Array.from({ length: below(8) }, () => pick(PIECES))
          .join('')
          .replaceAll('\0', '');
      const [name, description, file, note] = [hostile(), hostile(), hostile(), hostile()];
      const xml = `<domain type='kvm'><name>${escape(name)}</name><metadata><n:a xmlns:n='u'><n:b c='${escape(note)}'>${escape(note)}</n:b></n:a></metadata>
<description>${escape(description)}</description><devices><disk type='file' device='disk'><source file='${escape(file)}'/></disk></devices></domain>`;
      const domain = parseDomain(xml);
      expect(domain.name).toBe(name);
      expect(domain.disks).toEqual([{ file }]);
      const lines = `${description}\n${note}`.split(/\r?\n/).map((line) => line.trim());
      for (const tag of domain.marks.tags) expect(lines).toContain(`_CI_JOB_TAG=${tag}`);
    }
  });
});

function seen(id: string, text: string): VirtualMachine {
  const machine = parseMachine(text, id);
  const files = [machine.configFile, ...machine.attachments.map(({ location }) => location)];
  return describeMachine(machine, {
    account,
    processes: [],
    files: files.filter((file) => file !== undefined),
  });
}

function machineText(id: string, name: string, disk: string, description = ''): string {
  // As version 6 writes it, which escapes nothing.
  return `name="${name}"\nUUID="${id}"\nCfgFile="/home/${id}/x.vbox"\nVMState="poweroff"
"SATA-0-0"="${disk}"\n"SATA-ImageUUID-0-0"="${id === PERSON ? PERSON_DISK : JOB_DISK}"\ndescription="${description}"\n`;
}

function diskText(id: string, location: string): string {
  return `UUID:           ${id}\nParent UUID:    base\nState:          created\nLocation:       ${location}\nStorage format: VDI\n\n`;
}

function escape(text: string): string {
  const entities: Record<string, string> = {
    '<': '&lt;',
    '>': '&gt;',
    '&': '&amp;',
    "'": '&apos;',
    '"': '&quot;',
  };
  return text.replaceAll(/[<>&'"]/g, (character) => entities[character] ?? '');
}

function mutate(
  text: string,
  below: (limit: number) => number,
  pick: <T>(items: readonly T[]) => T,
): string {
  let broken = text;
  for (let change = below(5); change >= 0; change--) {
    const at = below(broken.length + 1);
    const to = at + below(20);
    const piece = [pick(PIECES), broken.slice(at, to), ''][below(3)] ?? '';
    broken = broken.slice(0, at) + piece + broken.slice(below(2) === 0 ? at : to);
  }
  return broken;
}
