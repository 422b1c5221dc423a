/** A value that components follow. */

import { useCallback, useSyncExternalStore } from "react"

/** One value and who wants to know when it changes. */
export class Store<T> {
  private value: T
  private readonly listeners = new Set<() => void>()

  constructor(value: T) {
    this.value = value
  }

  readonly get = (): T => this.value

  set(value: T): void {
    if (Object.is(value, this.value)) return
    this.value = value
    for (const listener of this.listeners) listener()
  }

  update(change: (value: T) => T): void {
    this.set(change(this.value))
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }
}

/** The value, or a part of it; rendered anew when that changes. The part must be the same object while it is equal. */
export function useStore<T>(store: Store<T>): T
export function useStore<T, Part>(store: Store<T>, part: (value: T) => Part): Part
export function useStore<T, Part>(store: Store<T>, part?: (value: T) => Part): T | Part {
  const read = useCallback(() => (part === undefined ? store.get() : part(store.get())), [store, part])
  return useSyncExternalStore(store.subscribe, read)
}
