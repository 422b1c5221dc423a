/** A real hub in a folder of its own, on free ports of this machine. */

import { type ChildProcess, execFile, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const BINARY = process.env["LOCKSTEP"] ?? fileURLToPath(new URL("../../../../target/debug/lockstep", import.meta.url))
const run = promisify(execFile)

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === "string") throw new Error("no port")
  return address.port
}

/** See the module. */
export class Hub {
  private child: ChildProcess | null = null

  private constructor(
    readonly folder: string,
    private readonly ports: { tls: number; plain: number },
  ) {}

  /** A new hub with its first owner, staff number 1, running. */
  static async start(): Promise<Hub> {
    const folder = mkdtempSync(join(tmpdir(), "lockstep-web-"))
    const hub = new Hub(folder, { tls: await freePort(), plain: await freePort() })
    await hub.cli("init", "--owner", "Ann")
    await hub.run()
    return hub
  }

  /** Its port without TLS. */
  get url(): string {
    return `ws://127.0.0.1:${this.ports.plain}/v1/sync`
  }

  private settings(): string[] {
    const { tls, plain } = this.ports
    const set = [`listen.address=127.0.0.1:${tls}`, `listen.plain=127.0.0.1:${plain}`]
    return ["--folder", join(this.folder, "hub"), ...set.flatMap((one) => ["--set", one])]
  }

  /** Starts it; answers when it says that it is up. */
  async run(): Promise<void> {
    const child = spawn(BINARY, ["serve", ...this.settings()], { stdio: ["ignore", "pipe", "pipe"] })
    this.child = child
    await new Promise<void>((resolve, reject) => {
      let told = ""
      const heard = (text: Buffer): void => {
        told += text.toString()
        if (told.includes("the hub is up")) resolve()
      }
      child.stdout.on("data", heard)
      child.stderr.on("data", heard)
      child.once("exit", (code) => reject(new Error(`the hub ended with ${code}: ${told}`)))
    })
  }

  /** kill -9. */
  async kill(): Promise<void> {
    const { child } = this
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const over = new Promise((resolve) => child.once("exit", resolve))
    child.kill("SIGKILL")
    await over
  }

  /** Ends it and deletes its folder. */
  async remove(): Promise<void> {
    await this.kill()
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** One command of the hub's own machine; answers the lines of JSON that it prints. */
  async cli(...args: string[]): Promise<Record<string, unknown>[]> {
    const { stdout } = await run(BINARY, [...args, ...this.settings(), "--json"])
    return stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  }

  /** A pairing link for a member. */
  async pair(member: number): Promise<string> {
    const [made] = await this.cli("pair", String(member), "--no-qr")
    return String(made?.["link"])
  }

  /** The same address in a link: the hub puts its machine's names there. */
  async pairHere(member: number): Promise<string> {
    return (await this.pair(member)).replace(/^lockstep:\/\/.*?:(\d+)\//, "lockstep://127.0.0.1:$1/")
  }
}
