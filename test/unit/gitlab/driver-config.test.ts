import { expect, it } from 'vitest';
import { driverConfig } from '../../../src/gitlab/driver-config.ts';

it('is one line of JSON', () => {
  const text = driverConfig({
    hostname: 'ci-1',
    version: '1.2.3',
    buildsDir: '/builds',
    cacheDir: '/cache',
    shell: 'bash',
    jobEnv: { A: 'b' },
  });
  expect(text).toBe(
    '{"builds_dir":"/builds","cache_dir":"/cache","builds_dir_is_shared":false,' +
      '"hostname":"ci-1","driver":{"name":"nspawn-runner","version":"1.2.3"},' +
      '"job_env":{"A":"b"},"shell":"bash"}\n',
  );
});
