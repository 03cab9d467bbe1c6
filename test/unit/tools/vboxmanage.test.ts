/** The texts follow VirtualBox's manual and VBoxManage's source, see docs/virtual-machines.md. */
import { describe, expect, it } from 'vitest';
import { CommandError } from '../../../src/errors.ts';
import {
  isLocked,
  isUnknownObject,
  parseDisks,
  parseHostOnlyInterfaces,
  parseMachine,
  parseMachineReadable,
  parseMachines,
} from '../../../src/tools/vboxmanage.ts';

const A = '0f6c1c55-7a33-4c3e-9c47-2d1b2f0c9a01';
const B = '6a3d6c2f-1111-4c3e-9c47-2d1b2f0c9a02';
const C = '93a38cd7-ef00-47aa-9868-d291d4ed5e0a';

describe('list vms', () => {
  it.each([
    ['', []],
    [`"one" {${A}}\n"two words" {${B}}\n`, [A, B]],
    [`"one" {${A}}\r\n"<inaccessible>" {${B}}\r\n`, [A, B]],
    // A name may look like a line's end.
    [`"x" {${A}}" {${B}}\n`, [B]],
    [`"x" {${A}}\n"x" {${A}}\n`, [A]],
    [`"x" {not-a-uuid}\nWARNING: The vboxdrv kernel module is not loaded.\n`, []],
  ])('%j', (text, expected) => {
    expect(parseMachines(text)).toEqual(expected);
  });
});

const RUNNING = `name="vagrant-test_default_1665781960041_56631"
Encryption:     disabled
groups="/"
platformArchitecture="x86"
ostype="Debian (64-bit)"
UUID="${A}"
CfgFile="/home/ci/VirtualBox VMs/vagrant-test_default_1665781960041_56631/x.vbox"
SnapFldr="/home/ci/VirtualBox VMs/vagrant-test_default_1665781960041_56631/Snapshots"
LogFldr="/home/ci/VirtualBox VMs/vagrant-test_default_1665781960041_56631/Logs"
memory=1024
cpuid=00000001,00000000,00000000,00000000,00000000,00000000VMState="running"
VMStateChangeTime="2022-10-14T22:19:20.000000000"
storagecontrollername0="SATA Controller"
storagecontrollername1="IDE-ImageUUID-0-0 x"
"SATA Controller-0-0"="/home/ci/VirtualBox VMs/x/box-disk001.vmdk"
"SATA Controller-ImageUUID-0-0"="${B}"
"SATA Controller-IsEjected-0-0"="off"
"SATA Controller-1-0"="none"
"IDE-ImageUUID-0-0 x-1-0"="emptydrive"
nic1="nat"
nic2="hostonly"
hostonlyadapter2="vboxnet3"
hostonlyadapter3="vboxnet3"
SharedFolderNameMachineMapping1="data"
SharedFolderPathMachineMapping1="/srv/data"
SharedFolderNameMachineMapping2="vagrant"
SharedFolderPathMachineMapping2="/builds/x"
description="made by CI
_CI_JOB_TAG=runner-1-project-2-concurrent-0-3
CfgFile="/srv/forged.vbox"
"
GuestMemoryBalloon=0
`;

describe('showvminfo --machinereadable', () => {
  it('tells all that is needed', () => {
    // A line without its end is a fault of some versions; what follows it is another key.
    const text = RUNNING.replace('00000000VMState', '00000000\nVMState');
    expect(parseMachine(text, A)).toEqual({
      id: A,
      name: 'vagrant-test_default_1665781960041_56631',
      state: 'running',
      configFile: '/home/ci/VirtualBox VMs/vagrant-test_default_1665781960041_56631/x.vbox',
      snapshotFolder: '/home/ci/VirtualBox VMs/vagrant-test_default_1665781960041_56631/Snapshots',
      description:
        'made by CI\n_CI_JOB_TAG=runner-1-project-2-concurrent-0-3\nCfgFile="/srv/forged.vbox',
      attachments: [
        {
          controller: 'SATA Controller',
          port: '0',
          device: '0',
          medium: B,
          location: '/home/ci/VirtualBox VMs/x/box-disk001.vmdk',
        },
      ],
      hostOnlyInterfaces: ['vboxnet3'],
      hasSnapshots: false,
      vagrantFolder: '/builds/x',
    });
  });

  it('tells of a machine whose settings cannot be read', () => {
    expect(parseMachine(`name="<inaccessible>"\nUUID="${A}"\n`, A)).toMatchObject({
      name: undefined,
      state: 'inaccessible',
      configFile: undefined,
      attachments: [],
    });
    const imitation = parseMachine(`name="<inaccessible>"\nVMState="saved"\n`, A);
    expect(imitation).toMatchObject({ name: '<inaccessible>', state: 'saved' });
  });

  it.each([
    ['a="b"', { a: 'b' }],
    ['a="b=c"', { a: 'b=c' }],
    ['a=12', { a: '12' }],
    ['a="say \\"x\\" and \\\\"', { a: 'say "x" and \\' }],
    ['"a \\"b\\""="c"', { 'a "b"': 'c' }],
    ['a="first"\na="second"', { a: 'first' }],
    ['a="one\ntwo"\nb="c"', { a: 'one\ntwo', b: 'c' }],
    ['a="never ended\nb="c"', { a: 'never ended\nb="c' }],
    ['a=""\nb="c"', { a: '', b: 'c' }],
    ['a="\n"\nb="c"', { a: '\n', b: 'c' }],
    ['no value', {}],
    ['', {}],
  ])('%j', (text, expected) => {
    expect(Object.fromEntries(parseMachineReadable(text))).toEqual(expected);
  });
});

describe('list hdds', () => {
  it('tells id, parent, state and place', () => {
    const text = `UUID:           ${A}
Parent UUID:    base
State:          created
Type:           normal (base)
Location:       /home/u/VirtualBox VMs/win10/win 10: new.vdi
Storage format: VDI
Capacity:       51200 MBytes
Encryption:     disabled

UUID:           ${B}
Parent UUID:    ${A}
State:          inaccessible
Access Error:   Could not open the medium '/x'.
Location:       /home/u/vms/data.vdi

UUID:           ${C}
Location:       relative.vdi

UUID:           none
Location:       /x
`;
    expect(parseDisks(text)).toEqual([
      {
        id: A,
        parent: undefined,
        state: 'created',
        location: '/home/u/VirtualBox VMs/win10/win 10: new.vdi',
      },
      { id: B, parent: A, state: 'inaccessible', location: '/home/u/vms/data.vdi' },
    ]);
  });
});

describe('a disk whose path imitates another disk', () => {
  it('takes the other away from nobody', () => {
    const text = `UUID:           ${A}\nLocation:       /home/me/mine.vdi\n
UUID:           ${B}\nLocation:       /builds/job/a\n
UUID:           ${A}\nLocation:       /builds/job/b\n`;
    expect(parseDisks(text).map(({ id }) => id)).toEqual([B]);
  });
});

describe('list hostonlyifs', () => {
  it('tells the names', () => {
    const text = `Name:            vboxnet0
GUID:            786f6276-656e-4074-8000-0a0027000000
DHCP:            Disabled
IPAddress:       192.168.56.1
VBoxNetworkName: HostInterfaceNetworking-vboxnet0

Name:            vboxnet1
`;
    expect(parseHostOnlyInterfaces(text)).toEqual(['vboxnet0', 'vboxnet1']);
  });
});

describe('an error', () => {
  const error = (stderrTail: string): CommandError =>
    new CommandError('', {
      argv: [],
      exitStatus: 1,
      signal: undefined,
      timedOutAfterSec: undefined,
      stderrTail,
      durationMs: 0,
    });

  it.each([
    [
      `VBoxManage: error: Could not find a registered machine with UUID {${A}}
VBoxManage: error: Details: code VBOX_E_OBJECT_NOT_FOUND (0x80bb0001), component VirtualBoxWrap, interface IVirtualBox, callee nsISupports`,
      { unknown: true, locked: false },
    ],
    [
      `VBoxManage: error: Cannot unregister the machine 'x' while it is locked
VBoxManage: error: Details: code VBOX_E_INVALID_OBJECT_STATE (0x80bb0007), component MachineWrap, interface IMachine, callee nsISupports`,
      { unknown: false, locked: true },
    ],
    [
      'VBoxManage: error: Failed to create the VirtualBox object!',
      { unknown: false, locked: false },
    ],
  ])('%s', (text, expected) => {
    expect({ unknown: isUnknownObject(error(text)), locked: isLocked(error(text)) }).toEqual(
      expected,
    );
    expect(isUnknownObject(new Error(text))).toBe(false);
  });
});
