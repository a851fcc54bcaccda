import { defineConfig } from 'vitest/config';

// One file at a time: each file starts a Switchyard and browsers, and timing is measured in some.
export default defineConfig({
  test: {
    include: ['**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    fileParallelism: false,
    // Browsers on a crowded machine now and then miss a moment; what fails twice is broken. Retries are printed.
    retry: 1,
    testTimeout: 90_000,
    hookTimeout: 60_000,
  },
});
