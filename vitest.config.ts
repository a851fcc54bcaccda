import { defineConfig } from 'vitest/config';

// Unit tests run from source: 'source' is the condition that the workspaces export their .ts files under.
export default defineConfig({
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'] } },
  test: {
    include: ['**/*.test.ts'],
    // A busy machine is not a bug.
    testTimeout: 60_000,
    exclude: ['**/node_modules/**', '**/dist/**', 'e2e/**', 'target/**'],
  },
});
