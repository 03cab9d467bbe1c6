import { defineConfig } from 'vitest/config';

// Unit tests are pure; protocol tests run the built program as GitLab Runner does; host tests want
// root on a systemd host and change it (scripts/test boots a lab host for them).
export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 60_000 } },
      {
        test: { name: 'protocol', include: ['test/protocol/**/*.test.ts'], testTimeout: 120_000 },
      },
      {
        test: {
          name: 'host',
          include: ['test/host/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
