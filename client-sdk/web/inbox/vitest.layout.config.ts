import { defineConfig } from "vitest/config"

// One browser at a time: they share two cores with the builds.
export default defineConfig({ test: { include: ["tests/layout/**/*.test.ts"], testTimeout: 60_000, hookTimeout: 60_000, fileParallelism: false } })
