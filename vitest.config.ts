// Three projects: unit (no root, under a minute), interop (other people's clients, needs root), boot (QEMU).
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: ['test/interop/**', 'test/boot/**'], testTimeout: 20_000 } },
      { test: { name: 'interop', include: ['test/interop/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 120_000, fileParallelism: false } },
      { test: { name: 'boot', include: ['test/boot/**/*.test.ts'], testTimeout: 600_000, hookTimeout: 900_000, fileParallelism: false } },
    ],
  },
});
