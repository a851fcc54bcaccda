import { defineConfig } from 'vitest/config';

// One file at a time: each file starts a Switchyard and browsers, and timing is measured in some.
export default defineConfig({
  test: {
    include: ['**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    fileParallelism: false,
    testTimeout: 90_000,
    hookTimeout: 60_000,
  },
});
