/** A name for this browser that its owner recognises in a list. */

const BROWSERS = [["Firefox", /Firefox|FxiOS/], ["Edge", /Edg/], ["Chrome", /Chrome|CriOS/], ["Safari", /Safari/]] as const
const SYSTEMS = [["iPhone", /iPhone/], ["iPad", /iPad/], ["Android", /Android/], ["Windows", /Windows/], ["macOS", /Mac OS/], ["Linux", /Linux/]] as const

/** From what the browser says of itself. */
export function deviceName(agent: string): string {
  const of = (list: readonly (readonly [string, RegExp])[]): string | undefined => list.find(([, sign]) => sign.test(agent))?.[0]
  return [of(BROWSERS) ?? "Browser", of(SYSTEMS)].filter(Boolean).join(" · ")
}
