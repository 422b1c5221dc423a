/** A map whose keys have an order, for ranges and positions. */

/** Keys in ascending order: strings by their code units, numbers by value. */
export class OrderedMap<K extends string | number, V> {
  private readonly map = new Map<K, V>()
  private readonly sorted: K[] = []

  /** How many there are. */
  get size(): number {
    return this.map.size
  }

  get(key: K): V | undefined {
    return this.map.get(key)
  }

  has(key: K): boolean {
    return this.map.has(key)
  }

  set(key: K, value: V): void {
    if (!this.map.has(key)) {
      const last = this.sorted[this.sorted.length - 1]
      if (last === undefined || last < key) this.sorted.push(key)
      else this.sorted.splice(this.indexOf(key), 0, key)
    }
    this.map.set(key, value)
  }

  /** Adds keys that are not there yet, ascending, with none of the present ones between them. */
  insertRun(run: readonly (readonly [K, V])[]): void {
    const [first] = run
    if (first === undefined) return
    this.sorted.splice(this.indexOf(first[0]), 0, ...run.map(([key]) => key))
    for (const [key, value] of run) this.map.set(key, value)
  }

  /** The key at a position. */
  keyAt(at: number): K | undefined {
    return this.sorted[at]
  }

  delete(key: K): boolean {
    if (!this.map.delete(key)) return false
    this.sorted.splice(this.indexOf(key), 1)
    return true
  }

  clear(): void {
    this.map.clear()
    this.sorted.length = 0
  }

  /** How many keys are smaller. */
  indexOf(key: K): number {
    let [low, high] = [0, this.sorted.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.sorted[middle] as K) < key) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Keys from one to another, both included. A copy: the map may change meanwhile. */
  keys(from?: K, to?: K): K[] {
    const begin = from === undefined ? 0 : this.indexOf(from)
    let end = this.sorted.length
    if (to !== undefined) {
      end = this.indexOf(to)
      if (this.sorted[end] === to) end++
    }
    return this.sorted.slice(begin, end)
  }

  /** Values in order of their keys. */
  values(from?: K, to?: K): V[] {
    return this.keys(from, to).map((key) => this.map.get(key) as V)
  }

  /** Keys and values in order. */
  entries(from?: K, to?: K): [K, V][] {
    return this.keys(from, to).map((key) => [key, this.map.get(key) as V])
  }

  /** The smallest key. */
  first(): K | undefined {
    return this.sorted[0]
  }
}
