/** Texts: plain JSON files, one a language; plurals, numbers and dates by `Intl`. */

import english from "./en.json"

/** Languages, in the order in which they are offered. */
export const LANGUAGES = ["en", "th", "hi", "zh", "ar"] as const
/** A language. */
export type Language = (typeof LANGUAGES)[number]
/** A text's name. */
export type TextKey = keyof typeof english
/** A text: one for all, or one for each plural form of `count`. */
export type Entry = string | Readonly<Partial<Record<Intl.LDMLPluralRule, string>> & { other: string }>
/** A language's texts. */
export type Texts = Readonly<Record<TextKey, Entry>>

/** Their own names. */
export const LANGUAGE_NAMES: Readonly<Record<Language, string>> = {
  en: "English", th: "ไทย", hi: "हिन्दी", zh: "简体中文", ar: "العربية",
}

const LOADERS: Readonly<Record<Exclude<Language, "en">, () => Promise<{ default: unknown }>>> = {
  th: () => import("./th.json"),
  hi: () => import("./hi.json"),
  zh: () => import("./zh.json"),
  ar: () => import("./ar.json"),
}

/** The texts of a language. */
export async function loadTexts(language: Language): Promise<Texts> {
  return language === "en" ? (english as Texts) : ((await LOADERS[language]()).default as Texts)
}

/** What stands in for names in a text. */
export type Values = Readonly<Record<string, string | number>>

/** First strong isolate and its end: a name of the other direction does not turn its sentence round. */
const ISOLATE = ["\u2068", "\u2069"] as const
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/

/** Speaks one language. */
export class Speaker {
  readonly language: Language
  readonly direction: "ltr" | "rtl"
  private readonly texts: Texts
  private readonly plurals: Intl.PluralRules
  private readonly numbers: Intl.NumberFormat
  private readonly formats = new Map<string, Intl.DateTimeFormat>()

  constructor(language: Language, texts: Texts) {
    this.language = language
    this.direction = language === "ar" ? "rtl" : "ltr"
    this.texts = texts
    this.plurals = new Intl.PluralRules(language)
    this.numbers = new Intl.NumberFormat(language)
  }

  /** A text with its values; `count` chooses the plural form. */
  readonly t = (key: TextKey, values: Values = {}): string => {
    const entry = this.texts[key]
    const text = typeof entry === "string" ? entry : (entry[this.plurals.select(Number(values["count"] ?? 0))] ?? entry.other)
    return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
      const value = values[name]
      if (value === undefined) return whole
      return typeof value === "number" ? this.numbers.format(value) : this.isolate(value)
    })
  }

  readonly number = (value: number): string => this.numbers.format(value)

  /** A size in bytes. */
  readonly bytes = (size: number): string => {
    const units = ["byte", "kilobyte", "megabyte", "gigabyte"] as const
    const step = Math.min(units.length - 1, size < 1 ? 0 : Math.floor(Math.log10(size) / 3))
    const format = new Intl.NumberFormat(this.language, { style: "unit", unit: units[step] as string, unitDisplay: "short", maximumFractionDigits: 1 })
    return format.format(size / 1_000 ** step)
  }

  /** Hours and minutes. */
  readonly time = (ms: number): string => this.format("time", { hour: "numeric", minute: "2-digit" }).format(ms)

  /** Day, hours and minutes, for a tooltip. */
  readonly moment = (ms: number): string => this.format("moment", { dateStyle: "long", timeStyle: "short" }).format(ms)

  /** A day's line: today, yesterday, else its date. */
  readonly day = (ms: number, nowMs: number): string => {
    const days = daysBetween(ms, nowMs)
    if (days === 0) return this.t("day.today")
    if (days === 1) return this.t("day.yesterday")
    if (days > 0 && days < 7) return this.format("weekday", { weekday: "long" }).format(ms)
    const isThisYear = new Date(ms).getFullYear() === new Date(nowMs).getFullYear()
    return isThisYear
      ? this.format("day", { weekday: "long", day: "numeric", month: "long" }).format(ms)
      : this.format("year", { day: "numeric", month: "long", year: "numeric" }).format(ms)
  }

  /** As short as a list needs it: the time today, else the day. */
  readonly brief = (ms: number, nowMs: number): string => {
    const days = daysBetween(ms, nowMs)
    if (days <= 0) return this.time(ms)
    if (days < 7) return this.format("briefWeekday", { weekday: "short" }).format(ms)
    return this.format("briefDay", { day: "numeric", month: "short" }).format(ms)
  }

  /** How long ago. */
  readonly ago = (ms: number, nowMs: number): string => {
    const format = new Intl.RelativeTimeFormat(this.language, { numeric: "auto" })
    const minutes = Math.round((ms - nowMs) / 60_000)
    if (minutes > -60) return format.format(minutes, "minute")
    return minutes > -60 * 24 ? format.format(Math.round(minutes / 60), "hour") : format.format(-daysBetween(ms, nowMs), "day")
  }

  private isolate(value: string): string {
    const isMixed = RIGHT_TO_LEFT.test(value) !== (this.direction === "rtl")
    return isMixed ? ISOLATE[0] + value + ISOLATE[1] : value
  }

  private format(name: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
    let format = this.formats.get(name)
    if (format === undefined) this.formats.set(name, (format = new Intl.DateTimeFormat(this.language, options)))
    return format
  }
}

/** Midnights between two times. */
function daysBetween(fromMs: number, toMs: number): number {
  const midnight = (ms: number): number => new Date(ms).setHours(0, 0, 0, 0)
  // Rounded: a day may have 23 or 25 hours.
  return Math.round((midnight(toMs) - midnight(fromMs)) / 86_400_000)
}
