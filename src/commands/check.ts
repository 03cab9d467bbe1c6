/** `nspawn-runner check`: can this host run jobs, and what is missing. */
import { listChroots } from '../chroot/store.ts';
import { Failure, SettingsError } from '../errors.ts';
import { chooseChroot } from '../gitlab/image.ts';
import { judgeBootstraps, judgeImages } from '../host/base-trees.ts';
import { readCgroups, readKernelLimits, readStateDirectory, readText } from '../host/facts.ts';
import { failing, ok, renderFindings, type Finding } from '../host/finding.ts';
import {
  judgeConfigToml,
  judgeRunnerBinary,
  judgeRunnerUnit,
  judgeSlice,
} from '../host/gitlab-runner.ts';
import {
  judgeTimer,
  SERVICE_PROPERTIES,
  TIMER_PROPERTIES,
  TIMERS,
  type OurTimer,
} from '../host/timers.ts';
import { judgeStateDirectory } from '../host/storage.ts';
import {
  judgeCgroups,
  judgeKernelLimits,
  judgeMachined,
  judgeNode,
  judgeSystemd,
  judgeUser,
} from '../host/system.ts';
import { SLICE } from '../machine/names.ts';
import { findRunnerBinary } from '../machine/runner-binary.ts';
import { loadSettings, type Settings } from '../settings.ts';
import { pingService } from '../tools/busctl.ts';
import { isSystemdRunning } from '../tools/sd-booted.ts';
import { showUnit } from '../tools/systemctl.ts';
import { toolVersion } from '../tools/version.ts';

const CONFIG_TOML = '/etc/gitlab-runner/config.toml';

export interface CheckArguments {
  readonly json?: boolean | undefined;
  readonly settings?: string | undefined;
}

/** Prints the findings; the status is 1 only when one of them keeps jobs from running. */
export async function check(args: CheckArguments): Promise<number> {
  const isRoot = process.geteuid?.() === 0;
  const findings = [
    judgeUser(process.geteuid?.()),
    judgeNode(process.versions.node),
    ...(await systemFindings()),
    ...(await settingsFindings(args.settings, isRoot)),
    ...(await runnerFindings()),
  ];
  process.stdout.write(
    args.json === true ? `${JSON.stringify(findings, null, 2)}\n` : renderFindings(findings),
  );
  return findings.some(({ level }) => level === 'fail') ? 1 : 0;
}

async function systemFindings(): Promise<Finding[]> {
  const [systemctl, nspawn, machined, cgroups, limits, mmdebstrap, debootstrap] = await Promise.all(
    [
      toolVersion('systemctl'),
      toolVersion('systemd-nspawn'),
      isSystemdRunning() ? pingService('org.freedesktop.machine1') : 'systemd does not run',
      readCgroups(),
      readKernelLimits(),
      toolVersion('mmdebstrap'),
      toolVersion('debootstrap'),
    ],
  );
  return [
    ...judgeSystemd({ isInit: isSystemdRunning(), systemctl, nspawn }),
    judgeMachined(machined),
    judgeCgroups(cgroups),
    ...judgeKernelLimits(limits),
    judgeBootstraps({ mmdebstrap, debootstrap }),
  ];
}

async function settingsFindings(path: string | undefined, isRoot: boolean): Promise<Finding[]> {
  let settings: Settings;
  try {
    settings = await loadSettings(path);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return [
      failing(
        'settings',
        [error.message, ...error.details].join(' '),
        'Correct the settings and run this again: what depends on them was not looked at.',
      ),
    ];
  }
  return [
    ok('settings', 'valid'),
    ...judgeStateDirectory(await readStateDirectory(settings.stateDir, isRoot)),
    ...(await imageFindings(settings)),
    await binaryFinding(settings.gitlabRunner),
  ];
}

async function imageFindings(settings: Settings): Promise<Finding[]> {
  let chroots: readonly string[];
  try {
    chroots = (await listChroots(settings.stateDir)).map(({ name }) => name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
    return [failing('chroots', 'only root may look', 'Run `sudo nspawn-runner check`.')];
  }
  return judgeImages({
    chroots,
    images: settings.images,
    defaultProblem: defaultProblem(settings, chroots),
  });
}

function defaultProblem(settings: Settings, chroots: readonly string[]): string | undefined {
  if (settings.defaultImage === undefined) return undefined;
  try {
    chooseChroot({ ...settings, image: undefined, chroots });
    return undefined;
  } catch (error) {
    if (error instanceof Failure) return error.message;
    throw error;
  }
}

async function binaryFinding(setting: string): Promise<Finding> {
  try {
    return judgeRunnerBinary({ path: await findRunnerBinary(setting), setting });
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return failing('gitlab-runner', error.message, error.hint ?? 'Correct the settings.');
  }
}

async function runnerFindings(): Promise<Finding[]> {
  const toml = judgeConfigToml(CONFIG_TOML, await readText(CONFIG_TOML));
  if (!isSystemdRunning()) return [toml];
  const properties = ['LoadState', 'User', 'KillMode', 'KillSignal', 'TimeoutStopUSec'];
  const [unit, slice, ...timers] = await Promise.all([
    showUnit('gitlab-runner.service', properties),
    showUnit(SLICE, ['FragmentPath']),
    ...TIMERS.map(timerFinding),
  ]);
  return [judgeRunnerUnit(unit), toml, judgeSlice(SLICE, slice['FragmentPath'] ?? ''), ...timers];
}

async function timerFinding(ours: OurTimer): Promise<Finding> {
  const [timer, service] = await Promise.all([
    showUnit(`${ours.name}.timer`, TIMER_PROPERTIES),
    showUnit(`${ours.name}.service`, SERVICE_PROPERTIES),
  ]);
  return judgeTimer(ours, timer, service);
}
