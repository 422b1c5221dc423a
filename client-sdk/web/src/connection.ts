/** One connection to the hub: a WebSocket, one frame a message. When to try again is the core's to say. */

import { DecodeError } from "./protocol/cbor.ts"
import { type HubFrame, decodeHubFrame } from "./protocol/frame.ts"

/** Bytes that may wait to leave; beyond, the line is broken. */
const BUFFERED_BYTES_MAX = 16 * 1024 * 1024

/** Makes a WebSocket; a host may bring its own. */
export type OpenSocket = (url: string) => WebSocket

/** What a connection tells the driver. */
export interface ConnectionEvents {
  connected(): void
  /** A frame, or null for bytes that are none. */
  frame(frame: HubFrame | null): void
  /** It is gone, or never stood. Told once, and not after {@link Connection.close}. */
  gone(): void
}

/** See the module. */
export class Connection {
  private readonly socket: WebSocket
  private over = false

  constructor(
    open: OpenSocket,
    url: string,
    private readonly events: ConnectionEvents,
  ) {
    this.socket = open(url)
    this.socket.binaryType = "arraybuffer"
    this.socket.onopen = () => {
      if (!this.over) events.connected()
    }
    this.socket.onmessage = ({ data }: MessageEvent<unknown>) => this.received(data)
    this.socket.onclose = () => this.end()
    this.socket.onerror = () => this.end()
  }

  private received(data: unknown): void {
    if (this.over) return
    try {
      if (!(data instanceof ArrayBuffer)) throw new DecodeError("Malformed", 0)
      const frame = decodeHubFrame(new Uint8Array(data))
      if (frame !== null) this.events.frame(frame)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.events.frame(null)
    }
  }

  /** Sends one frame. */
  send(bytes: Uint8Array): void {
    if (this.over || this.socket.readyState !== this.socket.OPEN) return
    if (this.socket.bufferedAmount > BUFFERED_BYTES_MAX) {
      this.socket.close()
      this.end()
    } else {
      this.socket.send(bytes as Uint8Array<ArrayBuffer>)
    }
  }

  private end(): void {
    if (this.over) return
    this.over = true
    this.events.gone()
  }

  /** Closes it after what was sent. */
  close(): void {
    this.over = true
    this.socket.close()
  }
}
