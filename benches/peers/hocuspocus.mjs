// Hocuspocus: its server with SQLite, and its provider.
import { join } from 'node:path'
import WebSocket from 'ws'
import { driver, folder, messages, freePort, serve, finish, version } from './peer.mjs'

if (process.argv[4] === 'serve') {
  const { Server } = await import('@hocuspocus/server')
  const { SQLite } = await import('@hocuspocus/extension-sqlite')
  const database = new SQLite({ database: join(folder, 'hocuspocus.sqlite') })
  const server = new Server({ address: '127.0.0.1', port: Number(process.argv[5]), quiet: true, extensions: [database] })
  await server.listen()
} else {
  const { HocuspocusProvider, HocuspocusProviderWebsocket } = await import('@hocuspocus/provider')
  const { converge } = await import('./y.mjs')
  const port = await freePort()
  await serve([process.execPath, driver, folder, String(messages), 'serve', String(port)], port)
  const [seconds, contents] = await converge(document => new Promise(onSynced => {
    const url = `ws://127.0.0.1:${port}`
    const websocketProvider = new HocuspocusProviderWebsocket({ url, WebSocketPolyfill: WebSocket })
    const provider = new HocuspocusProvider({ websocketProvider, name: 'peer', document, onSynced })
    provider.attach()
  }))
  finish(seconds, contents, ['@hocuspocus/server', '@hocuspocus/extension-sqlite', 'yjs'].map(version), [
    'memory ack: SQLite gets the whole document 2 to 10 s after a change, its default; clients keep nothing on disk',
  ])
}
