/** What takes minutes is done on the newest systemd; on older ones a part of it is enough. */
import { host } from './driver.ts';

/** NSPAWN_RUNNER_TEST_RECIPES=all asks for everything everywhere. */
export async function isThorough(): Promise<boolean> {
  const [, version = '0'] = /^systemd (\d+)/.exec(await host('systemctl', '--version')) ?? [];
  return Number(version) >= 257 || process.env['NSPAWN_RUNNER_TEST_RECIPES'] === 'all';
}
