/** Every screen in every layout and theme, both directions: axe finds nothing, nothing sticks out, the policy holds. */

import { afterAll, beforeAll, expect, test } from "vitest"
import type { Page } from "playwright-core"
import { FIRST, type Size, Stage, type View, axe } from "./support/browser.ts"

let stage: Stage
beforeAll(async () => void (stage = await Stage.open()))
afterAll(() => stage.close())

const click = (name: string) => (page: Page): Promise<void> => page.locator(name).first().click()

/** A screen: its name, how to get there, what must be in sight, what is done first. */
type Scene = [name: string, view: View, wanted: string, act?: (page: Page) => Promise<unknown>]
const SCREENS: Scene[] = [
  ["list", { hash: "#/all" }, ".row"],
  ["thread with every state", { hash: `#/all/${FIRST}` }, ".clash-box"],
  ["thread from its beginning", { hash: `#/all/${FIRST}` }, ".message.note", (page) => page.evaluate(() => document.querySelector(".log")?.scrollTo(0, 0))],
  ["lock and note", { hash: `#/all/${FIRST}`, fake: "typing" }, ".lock", click(".composer-tab.note")],
  ["customer", { hash: `#/all/${FIRST}/customer` }, ".customer"],
  ["team", { hash: "#/team" }, ".role-select"],
  ["devices", { hash: "#/devices" }, ".card .danger"],
  ["pairing code", { hash: "#/devices" }, ".qr", click(".screen-head .primary")],
  ["me", { hash: "#/me" }, ".switch"],
  ["offline", { hash: `#/all/${FIRST}`, fake: "offline" }, ".banner.offline"],
  ["catching up", { hash: "#/all", fake: "syncing" }, ".banner.loading"],
  ["nothing yet", { hash: "#/all", fake: "empty" }, ".list-pane .empty"],
  ["search", { hash: "#/search" }, ".row"],
  ["read only", { hash: `#/all/${FIRST}`, fake: "auditor" }, ".composer-only"],
  ["enrol", { fake: "fresh" }, ".enrol-card"],
  ["revoked", { fake: "revoked" }, ".ended"],
  ["outdated", { fake: "outdated" }, ".ended"],
  ["store failed", { fake: "store-failed" }, ".ended"],
]

const LOOKS: readonly (readonly [Size, "light" | "dark", string])[] = [
  ["phone", "light", "en"], ["phone", "dark", "ar"], ["tablet", "light", "ar"], ["tablet", "dark", "en"], ["desktop", "light", "th"], ["desktop", "dark", "hi"],
]

for (const [size, theme, language] of LOOKS) {
  test.each<Scene>(SCREENS)(`${size} ${theme} ${language}: %s`, async (_, view, wanted, act) => {
    await stage.scene({ ...view, size, theme, language }, async (page) => {
      if (act !== undefined) await page.waitForSelector(".list-pane, .thread, .screen").then(() => page.waitForTimeout(250)).then(() => act(page))
      await page.waitForSelector(wanted)
      await page.waitForTimeout(200)
      expect(await axe(page)).toEqual([])
      expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0)
      const texts = await page.evaluate(() => document.body.innerText)
      expect(texts).not.toMatch(/\{\w+\}/)
    })
  })
}

test("a menu, a dialog and the keys have nothing wrong either", async () => {
  await stage.scene({ hash: `#/all/${FIRST}` }, async (page) => {
    await page.waitForSelector(".message")
    await page.keyboard.press("?")
    await page.waitForSelector(".keys")
    expect(await axe(page)).toEqual([])
    await page.keyboard.press("Escape")
    await page.waitForSelector(".keys", { state: "detached" })
    await page.keyboard.press("Alt+a")
    await page.waitForSelector("[role=menuitemcheckbox]")
    expect(await axe(page)).toEqual([])
    await page.keyboard.press("Escape")
    await page.waitForSelector("[role=menuitemcheckbox]", { state: "detached" })
    await page.locator("[data-composer]").fill("/")
    await page.waitForSelector("[role=option]")
    expect(await axe(page)).toEqual([])
  })
})
