// Prosody: a group chat room with its archive (MAM), four occupants with xmpp.js.
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { client, xml } from '@xmpp/client'
import { folder, messages, bodies, READERS, freePort, serve, breathe, finish, version } from './peer.mjs'

const ROOM = 'peer@rooms.localhost'

const port = await freePort()
const data = join(folder, 'prosody')
mkdirSync(data)
const settings = join(folder, 'prosody.cfg.lua')
writeFileSync(settings, `run_as_root = true
data_path = "${data}"
pidfile = "${join(folder, 'prosody.pid')}"
log = { warn = "*console" }
interfaces = { "127.0.0.1" }
c2s_ports = { ${port} }
c2s_require_encryption = false
s2s_ports = {}
modules_enabled = { "disco", "saslauth" }
modules_disabled = { "s2s", "tls" }
storage = "internal"
VirtualHost "localhost"
authentication = "anonymous"
Component "rooms.localhost" "muc"
modules_enabled = { "muc_mam" }
muc_log_by_default = true
restrict_room_creation = false
muc_room_locking = false
`)
await serve(['prosody', '-F', '--config', settings], port)

// Joins the room; answers the client and what it will have received.
async function enter(nick) {
  const xmpp = client({ service: `xmpp://127.0.0.1:${port}`, domain: 'localhost' })
  xmpp.on('error', error => { throw error })
  const content = []
  let joined, arrived
  const inside = new Promise(resolve => { joined = resolve })
  const all = new Promise(resolve => { arrived = resolve })
  let archive
  const archived = new Promise(resolve => { archive = resolve })
  xmpp.on('stanza', stanza => {
    if (stanza.is('presence') && stanza.attrs.from === `${ROOM}/${nick}`) joined()
    if (stanza.is('iq') && stanza.attrs.id === 'archive') archive(stanza)
    if (!stanza.is('message') || stanza.attrs.type !== 'groupchat') return
    const body = stanza.getChildText('body')
    if (body !== null && content.push(body) === messages) arrived()
  })
  await xmpp.start()
  await xmpp.send(xml('presence', { to: `${ROOM}/${nick}` }, xml('x', { xmlns: 'http://jabber.org/protocol/muc' })))
  await inside
  return { xmpp, content, all, archived }
}

const occupants = []
for (let at = 0; at <= READERS; at++) occupants.push(await enter(`occupant${at}`))
const writer = occupants[0].xmpp
const begun = performance.now()
const sending = []
for (const body of bodies) {
  sending.push(writer.send(xml('message', { type: 'groupchat', to: ROOM }, xml('body', {}, body))))
  await breathe()
}
await Promise.all([...sending, ...occupants.map(occupant => occupant.all)])
const seconds = (performance.now() - begun) / 1000
// The archive must hold them, too.
const empty = xml('set', { xmlns: 'http://jabber.org/protocol/rsm' }, xml('max', {}, '1'))
await writer.send(xml('iq', { type: 'set', id: 'archive', to: ROOM }, xml('query', { xmlns: 'urn:xmpp:mam:2' }, empty)))
const answer = await occupants[0].archived
const counted = Number(answer.getChild('fin')?.getChild('set')?.getChildText('count'))
if (counted !== messages) throw new Error(`the archive holds ${counted}: ${answer}`)
const server = execFileSync('prosodyctl', ['--config', settings, 'about'], { encoding: 'utf8' }).match(/Prosody [\d.]+/)?.[0]
finish(seconds, occupants.map(occupant => occupant.content), [server, version('@xmpp/client')], [
  'memory ack: the archive is appended to files without fsync; clients keep nothing on disk',
  'a room with an archive: no documents, no CRDT; plain TCP',
])
