// y-websocket 2: the server that comes with it, with its LevelDB persistence, and its provider.
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { WebsocketProvider } from 'y-websocket'
import WebSocket from 'ws'
import { folder, freePort, serve, finish, version } from './peer.mjs'
import { converge } from './y.mjs'

const port = await freePort()
const program = fileURLToPath(new URL('node_modules/y-websocket/bin/server.cjs', import.meta.url))
const env = { HOST: '127.0.0.1', PORT: String(port), YPERSISTENCE: join(folder, 'level') }
await serve([process.execPath, program], port, env)
const [seconds, contents] = await converge(doc => new Promise(resolve => {
  const options = { WebSocketPolyfill: WebSocket, disableBc: true }
  const provider = new WebsocketProvider(`ws://127.0.0.1:${port}`, 'peer', doc, options)
  provider.once('sync', resolve)
}))
finish(seconds, contents, ['y-websocket', 'yjs'].map(version), [
  'memory ack: LevelDB writes without fsync, after the update was sent on; clients keep nothing on disk',
])
