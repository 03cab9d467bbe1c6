import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { defaultSettings, parseSettings, type Settings } from '../../src/settings.ts';

const text = readFileSync('docs/examples/settings.yaml', 'utf8');
/** A commented-out key is a `#` with no blank behind it, or with the two of a nested key. */
const switchedOn = text.replaceAll(/^#(?=[a-z_]+:| {2}["a-z_]+[^ ]*:)/gm, '');

describe('docs/examples/settings.yaml', () => {
  it('changes nothing as it is installed', async () => {
    expect(await parseSettings(text, 'settings.yaml')).toEqual(defaultSettings());
  });

  it('is valid with every key switched on, and shows the defaults', async () => {
    const settings = await parseSettings(switchedOn, 'settings.yaml');
    const examples: Partial<Settings> = {
      defaultImage: 'debian-12',
      allowedImages: ['debian-*', 'registry.example.com/**'],
      images: { 'registry.example.com/ci/base:latest': 'debian-12' },
      virtualMachineKinds: ['libvirt', 'qemu'],
      virtualMachineUsers: ['root', 'gitlab-runner'],
      metricsFile: '/var/lib/prometheus/node-exporter/nspawn-runner.prom',
      aptMirror: 'http://deb.debian.org/debian',
      limits: {
        memoryMaxBytes: undefined,
        memoryMaxPercent: 40,
        memoryHighBytes: undefined,
        memoryHighPercent: 30,
        cpuWeight: 50,
        cpuQuotaPercent: 200,
        tasksMax: 16_384,
      },
    };
    expect(settings).toEqual({ ...defaultSettings(), ...examples });
  });
});
