/** Opens the built demo in a browser as a person would have it: a size, a theme, a language. */

import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { type Browser, type Page, chromium } from "playwright-core"
import { serve } from "./server.ts"

/** Screens by layout, CSS pixels. */
export const SIZES = { phone: { width: 390, height: 844 }, tablet: { width: 900, height: 1100 }, desktop: { width: 1440, height: 900 } } as const
/** A layout. */
export type Size = keyof typeof SIZES

/** The first conversation, which shows every state. */
export const FIRST = (0xc0).toString(16).padStart(32, "0")
/** That with 100,000 messages. */
export const LONG = (0xc4).toString(16).padStart(32, "0")

/** How a page is opened. */
export interface View {
  readonly size?: Size
  readonly theme?: "light" | "dark"
  readonly language?: string
  /** What the demo is told, besides `calm`. */
  readonly fake?: string
  readonly hash?: string
  readonly settings?: Readonly<Record<string, unknown>>
}

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")
const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]

/** A browser and the served demo. */
export class Stage {
  private constructor(
    private readonly browser: Browser,
    private readonly url: string,
    private readonly stop: () => void,
  ) {}

  static async open(): Promise<Stage> {
    const { server, url } = await serve()
    const browser = await chromium.launch({ executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium", args: FLAGS })
    return new Stage(browser, url, () => server.close())
  }

  async close(): Promise<void> {
    await this.browser.close()
    this.stop()
  }

  /** Runs a scene on a fresh page; whatever the browser complains of fails it, a breach of the policy too. */
  async scene(view: View, play: (page: Page) => Promise<void>): Promise<void> {
    const { size = "desktop", theme = "light", language = "en", fake = "", hash = "", settings = {} } = view
    const context = await this.browser.newContext({
      viewport: SIZES[size], colorScheme: theme, locale: language, hasTouch: size === "phone", serviceWorkers: "block", reducedMotion: "reduce",
    })
    const complaints: string[] = []
    try {
      const page = await context.newPage()
      page.on("console", (message) => message.type() === "error" && !/service.?worker/i.test(message.text()) && complaints.push(message.text()))
      page.on("pageerror", (error) => complaints.push(String(error)))
      page.on("request", (request) => request.url().startsWith(this.url) || complaints.push(`asked for ${request.url()}`))
      await page.addInitScript((kept) => localStorage.getItem("lockstep-settings") ?? localStorage.setItem("lockstep-settings", kept), JSON.stringify({ language, ...settings }))
      await page.goto(`${this.url}/?fake=calm,${fake}${hash}`)
      await page.waitForSelector("#root > *")
      await play(page)
      if (complaints.length > 0) throw new Error(complaints.join("\n"))
    } finally {
      await context.close()
    }
  }
}

/** What axe finds wrong, one line each. */
export async function axe(page: Page): Promise<string[]> {
  // By the debugger: the page's policy lets no other script in.
  await page.evaluate(AXE)
  return page.evaluate(async () => {
    type Found = { violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }
    const { axe } = globalThis as unknown as { axe: { run(options: object): Promise<Found> } }
    const { violations } = await axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] } as never)
    // Menus and dialogs stand beside the landmarks, at the end of the page.
    const isMeant = (id: string, html: string): boolean => id !== "region" || !html.includes("base-ui")
    return violations.flatMap(({ id, nodes }) => nodes.filter(({ html }) => isMeant(id, html)).map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary.split("\n")[1]?.trim() ?? ""}`))
  })
}
