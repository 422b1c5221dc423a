import { defineConfig } from "vitest/config"

// Against the real hub: LOCKSTEP names its binary. One file after the other, each with a hub of its own.
export default defineConfig({
  test: {
    include: ["tests/e2e/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    fileParallelism: false,
    execArgv: ["--experimental-websocket", "--disable-warning=ExperimentalWarning"],
  },
})
