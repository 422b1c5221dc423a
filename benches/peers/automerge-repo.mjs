// automerge-repo: a hub with WebSocket and nodefs, four repos, one document with a list of messages.
//
// With `--burst` the writer never yields between two changes. With `--undelayed` both of its delays are 0: `saveDebounceRate` is an option, `syncDebounceRate` is a constant of the
// class DocSynchronizer, which is changed as the module is loaded.
import { register } from 'node:module'
import { driver, folder, messages, bodies, READERS, freePort, serve, breathe, finish, version } from './peer.mjs'

const burst = process.argv.includes('--burst')
const undelayed = process.argv.includes('--undelayed')
if (undelayed) {
  const hooks = `export async function load(url, context, next) {
    const loaded = await next(url, context)
    if (!url.endsWith('/synchronizer/DocSynchronizer.js')) return loaded
    const source = String(loaded.source).replace('syncDebounceRate = 100', 'syncDebounceRate = 0')
    if (source === String(loaded.source)) throw new Error('syncDebounceRate is elsewhere')
    return { ...loaded, source }
  }`
  register('data:text/javascript,' + encodeURIComponent(hooks))
}
const { Repo, ImmutableString } = await import('@automerge/automerge-repo')
const { WebSocketServerAdapter, WebSocketClientAdapter } = await import('@automerge/automerge-repo-network-websocket')
const delays = undelayed ? { saveDebounceRate: 0 } : {}

if (process.argv[4] === 'serve') {
  const { WebSocketServer } = await import('ws')
  const { NodeFSStorageAdapter } = await import('@automerge/automerge-repo-storage-nodefs')
  const wss = new WebSocketServer({ port: Number(process.argv[5]), host: '127.0.0.1' })
  new Repo({ network: [new WebSocketServerAdapter(wss)], storage: new NodeFSStorageAdapter(folder), ...delays })
} else {
  const port = await freePort()
  const command = [process.execPath, driver, folder, String(messages), 'serve', String(port)]
  await serve(undelayed ? [...command, '--undelayed'] : command, port)
  const repos = Array.from({ length: READERS + 1 }, () => {
    return new Repo({ network: [new WebSocketClientAdapter(`ws://127.0.0.1:${port}`)], ...delays })
  })
  const writer = repos[0].create({ messages: [] })
  const handles = [writer]
  for (const repo of repos.slice(1)) {
    await repo.networkSubsystem.whenReady()
    handles.push(await repo.find(writer.url))
  }
  const held = handle => handle.doc().messages
  const arrived = handles.map(handle => new Promise(resolve => {
    const look = () => held(handle).length >= messages && resolve()
    handle.on('change', look)
  }))
  const begun = performance.now()
  for (const body of bodies) {
    writer.change(doc => doc.messages.push(new ImmutableString(body)))
    if (!burst) await breathe()
  }
  await Promise.all(arrived)
  const seconds = (performance.now() - begun) / 1000
  const contents = handles.map(handle => held(handle).map(String))
  finish(seconds, contents, ['@automerge/automerge-repo', '@automerge/automerge'].map(version), [
    'memory ack: the hub writes files without fsync, some time after it has sent on; clients keep nothing on disk',
    'one document holds all messages, as immutable strings; changes within the delay travel as one sync message',
    ...(burst ? ['the writer never yields between two changes, so that they travel as one batch'] : []),
    undelayed ? 'syncDebounceRate and saveDebounceRate 0; the first has no option and is changed in the source' : 'its default delays of 100 ms',
  ])
}
