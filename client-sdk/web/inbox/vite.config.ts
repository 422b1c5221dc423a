import { fileURLToPath } from "node:url"
import react from "@vitejs/plugin-react"
import { defineConfig } from "vite"
import { finish } from "./build/finish.ts"

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

// `--mode fake` plugs the demo team in where the SDK is: for development and for the layout tests, never for the hub.
export default defineConfig(({ mode }) => {
  const isFake = mode === "fake"
  const out = at(isFake ? "./dist-fake" : "./dist")
  return {
    resolve: { alias: { "#client": at(isFake ? "./src/client/fake/index.ts" : "./src/client/sdk.ts") } },
    plugins: [react(), finish(out)],
    build: {
      outDir: out,
      // The hub needs `dist/.gitignore`; `finish` clears the rest.
      emptyOutDir: false,
      target: "es2022",
      sourcemap: false,
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
    },
    worker: { format: "es" },
  }
})
