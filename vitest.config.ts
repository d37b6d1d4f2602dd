// Three projects that CI runs: unit (no root, under a minute), interop (other people's clients, needs root), boot (QEMU). Long ones, of half an hour and more, are asked for.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: ['test/interop/**', 'test/boot/**', 'test/long/**'], testTimeout: 20_000 } },
      { test: { name: 'interop', include: ['test/interop/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 120_000, fileParallelism: false } },
      { test: { name: 'boot', include: ['test/boot/**/*.test.ts'], testTimeout: 600_000, hookTimeout: 900_000, fileParallelism: false } },
      { test: { name: 'long', include: ['test/long/**/*.test.ts'], testTimeout: 600_000, hookTimeout: 900_000, fileParallelism: false } },
    ],
  },
});
