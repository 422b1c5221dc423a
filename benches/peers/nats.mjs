// NATS JetStream: its server syncing every message, a stream on disk, its client with ordered consumers.
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect } from '@nats-io/transport-node'
import { jetstream, jetstreamManager, StorageType } from '@nats-io/jetstream'
import { folder, messages, bodies, READERS, freePort, serve, breathe, finish, version } from './peer.mjs'

// Publishes without an answer yet: enough to keep the server's disk busy, below its limit of what may wait.
const IN_FLIGHT_MAX = 1024

const port = await freePort()
const program = fileURLToPath(new URL('venv/bin/nats-server', import.meta.url))
const settings = join(folder, 'nats.conf')
writeFileSync(settings, `listen: "127.0.0.1:${port}"
log_file: "${join(folder, 'nats.log')}"
jetstream { store_dir: "${join(folder, 'jetstream')}", sync_interval: always }
`)
await serve([program, '-c', settings], port)
const connections = await Promise.all(Array.from({ length: READERS + 1 }, () => connect({ port })))
const manager = await jetstreamManager(connections[0])
await manager.streams.add({ name: 'peer', subjects: ['peer'], storage: StorageType.File })
const clients = connections.map(connection => jetstream(connection))

const contents = []
const reading = []
for (const client of clients.slice(1)) {
  const consumer = await client.consumers.get('peer')
  const incoming = await consumer.consume({ max_messages: IN_FLIGHT_MAX })
  const content = []
  contents.push(content)
  reading.push((async () => {
    for await (const message of incoming) {
      content.push(message.string())
      if (content.length === messages) return
    }
  })())
}
const written = []
const begun = performance.now()
const waiting = new Set()
for (const body of bodies) {
  const publish = clients[0].publish('peer', body, { timeout: 60_000 }).then(ack => {
    written[ack.seq - 1] = body
    waiting.delete(publish)
  })
  waiting.add(publish)
  await (waiting.size < IN_FLIGHT_MAX ? breathe() : Promise.race(waiting))
}
await Promise.all([...waiting, ...reading])
const seconds = (performance.now() - begun) / 1000
const server = execFileSync(program, ['--version'], { encoding: 'utf8' }).trim()
finish(seconds, [written, ...contents], [server, version('@nats-io/jetstream')], [
  'fsync before ack: sync_interval always; clients keep nothing on disk',
  'a log: no documents, no CRDT, nothing to merge',
])
