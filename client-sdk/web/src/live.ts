/** A value that changes, for whoever shows it. Fits React's `useSyncExternalStore` as it is. */

/** See the module. `current` is replaced, never changed in place. */
export interface Live<T> {
  /** The value now. */
  readonly current: T
  /** Calls back after each change; answers how to stop. */
  readonly subscribe: (changed: () => void) => () => void
}

/** A {@link Live} that its owner sets. */
export class LiveValue<T> implements Live<T> {
  private readonly listeners = new Set<() => void>()

  constructor(private value: T) {}

  get current(): T {
    return this.value
  }

  set(value: T): void {
    if (Object.is(value, this.value)) return
    this.value = value
    for (const listener of [...this.listeners]) listener()
  }

  readonly subscribe = (changed: () => void): (() => void) => {
    this.listeners.add(changed)
    return () => void this.listeners.delete(changed)
  }
}
