/** Texts: every language has every text with every placeholder and plural form; nothing is written outside the files. */

import { readFileSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { expect, test } from "vitest"
import { type Entry, LANGUAGES, Speaker, type TextKey, type Texts, loadTexts } from "../../src/text/text.ts"

const all = await Promise.all(LANGUAGES.map(async (language) => ({ language, texts: await loadTexts(language) })))
const english = all[0]?.texts as Texts

const forms = (entry: Entry): string[] => (typeof entry === "string" ? [entry] : Object.values(entry))
const holes = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name as string).sort()

test.each(all)("$language has every text", ({ language, texts }) => {
  expect(Object.keys(texts).sort()).toEqual(Object.keys(english).sort())
  const plural = new Intl.PluralRules(language)
  for (const key of Object.keys(english) as TextKey[]) {
    const wanted = new Set(forms(english[key]).flatMap(holes))
    for (const text of forms(texts[key])) {
      expect(text.trim(), `${language} ${key}`).not.toBe("")
      // A form may leave the number out: "one message", "two messages" in Arabic.
      for (const hole of holes(text)) expect(wanted, `${language} ${key}`).toContain(hole)
    }
    const other = texts[key]
    if (typeof english[key] !== "string" || typeof other !== "string") {
      const given = new Set(typeof other === "string" ? ["other"] : Object.keys(other))
      for (const form of plural.resolvedOptions().pluralCategories) expect(given, `${language} ${key} ${form}`).toContain(form)
    }
  }
})

test.each(all.slice(1))("$language is translated", ({ texts }) => {
  const same = (Object.keys(english) as TextKey[]).filter((key) => JSON.stringify(texts[key]) === JSON.stringify(english[key]))
  // Names and signs are the same everywhere.
  expect(same.filter((key) => !["app.name", "list.seconds", "thread.said", "me.signedIn"].includes(key))).toEqual([])
})

test.each([
  ["en", 1, "1 new message"], ["en", 2, "2 new messages"], ["ar", 2, "رسالتان جديدتان"], ["zh", 5, "5 条新消息"],
] as const)("plural %s %i", async (language, count, expected) => {
  expect(new Speaker(language, await loadTexts(language)).t("thread.latestCount", { count })).toBe(expected)
})

test("a name of the other direction is isolated", () => {
  const speaker = new Speaker("en", english)
  expect(speaker.t("list.replying", { name: "ليلى" })).toBe("\u2068ليلى\u2069 is replying")
  expect(speaker.t("list.replying", { name: "Maya" })).toBe("Maya is replying")
})

test("days are named as people do", () => {
  const speaker = new Speaker("en", english)
  const now = new Date(2026, 4, 14, 9, 0).getTime()
  const at = (day: number, year = 2026): string => speaker.day(new Date(year, 4, day, 23, 0).getTime(), now)
  expect([at(14), at(13), at(11), at(2), at(2, 2025)]).toEqual(["Today", "Yesterday", "Monday", "Saturday, May 2", "May 2, 2025"])
})

test("every text that the code asks for is there, and every text is asked for", () => {
  const root = fileURLToPath(new URL("../../src", import.meta.url))
  const code = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => readFileSync(join(root, name), "utf8"))
    .join("\n")
  const unused = Object.keys(english).filter((key) => {
    const family = key.slice(0, key.indexOf(".") + 1)
    return !code.includes(`"${key}"`) && !code.includes(`\`${family}\${`) && !/^quick\./.test(key) && !/^empty\.(?:mine|unassigned)/.test(key)
  })
  expect(unused).toEqual([])
})

test("no text is written into a component", () => {
  const root = fileURLToPath(new URL("../../src", import.meta.url))
  const found = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".tsx"))
    .flatMap((name) => [...readFileSync(join(root, name), "utf8").matchAll(/(?:>|(?:aria-label|title|placeholder|label|alt)=")([^<>{}="\n]*\p{L}{2,}[^<>{}="\n]*)(?:<\/|")/gu)].map(([, text]) => `${name}: ${text}`))
    .filter((text) => !/[;()=]|=>|Promise/.test(text))
  expect(found).toEqual([])
})
